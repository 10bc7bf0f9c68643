/** The page: accounts for admins, the audit for auditors. */
import { createEffect, createResource, createSignal, Match, Show, Switch } from "solid-js";
import type { SessionInfo } from "../api/session";
import { Mark } from "../command/mark";
import { Language } from "../login/parts.view";
import { firstLanguage } from "../login/words";
import type { Lang } from "../state/hash";
import { cssVariables, makeTheme } from "../style/theme";
import { AccountsView } from "./accounts.view";
import { AuditView } from "./audit.view";
import { mine, said } from "./parts.view";
import { adminWords } from "./words";

function wear(dark: boolean): void {
  const theme = makeTheme(dark ? "night" : "light", "standard");
  for (const [name, value] of Object.entries(cssVariables(theme))) {
    document.documentElement.style.setProperty(name, value);
  }
  document.documentElement.dataset.dark = String(theme.dark);
}

export function Page() {
  const [lang, setLang] = createSignal<Lang>(firstLanguage(location.hash, navigator.languages));
  const words = () => adminWords(lang());
  const [me] = createResource(() => mine<SessionInfo>("GET", "/api/session"));
  const info = () => me()?.answer;
  const may = (action: string) => (info()?.actions as string[] | undefined)?.includes(action);
  wear(matchMedia("(prefers-color-scheme: dark)").matches);
  createEffect(() => {
    document.documentElement.lang = lang() === "zh" ? "zh-CN" : "en";
    document.title = words().page;
  });
  return (
    <main class="login admin">
      <header>
        <Mark />
        <Language name={words().language} value={lang()} choose={setLang} />
        <a class="button" href="/">
          {words().back}
        </a>
      </header>
      <Show when={me()?.refusal}>
        {(refusal) => (
          <p class="problem" role="alert">
            {said(words(), refusal())}
          </p>
        )}
      </Show>
      <Show when={info()}>
        {(found) => (
          <Switch>
            <Match when={found().access === "single"}>
              <section class="card">
                <h1>{words().title}</h1>
                <p class="lead">{words().single}</p>
              </section>
            </Match>
            <Match when={may("administer") || may("read_audit")}>
              <Show when={may("administer")}>
                <AccountsView words={words()} lang={lang()} />
              </Show>
              <Show when={may("read_audit")}>
                <AuditView words={words()} lang={lang()} />
              </Show>
            </Match>
            <Match when={true}>
              <section class="card">
                <h1>{words().title}</h1>
                <p class="lead">{words().notYours}</p>
              </section>
            </Match>
          </Switch>
        )}
      </Show>
    </main>
  );
}
