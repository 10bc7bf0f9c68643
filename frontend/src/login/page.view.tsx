/** The page: who may get in, and how; `#link=…` sets a password, `#me` shows one's own account. */
import { createEffect, createResource, createSignal, Show } from "solid-js";
import { ask, safeNext, type Ways } from "../api/session";
import { Mark } from "../command/mark";
import type { Lang } from "../state/hash";
import { cssVariables, makeTheme } from "../style/theme";
import { AccountView } from "./account.view";
import { LoginView } from "./login.view";
import { Language, Problem, said } from "./parts.view";
import { firstLanguage, words as wordsOf } from "./words";

/** What the address asks for; a link's secret leaves the address at once. */
function arrival() {
  const search = new URLSearchParams(location.search);
  const hash = new URLSearchParams(location.hash.slice(1));
  const link = hash.get("link") ?? "";
  const mine = location.hash === "#me";
  const found = {
    link,
    mine,
    error: search.get("error") ?? "",
    next: safeNext(search.get("next"), location.origin) + (link || mine ? "" : location.hash),
  };
  if (link) history.replaceState(null, "", location.pathname);
  return found;
}

function wear(dark: boolean): void {
  const theme = makeTheme(dark ? "night" : "light", "standard");
  for (const [name, value] of Object.entries(cssVariables(theme))) {
    document.documentElement.style.setProperty(name, value);
  }
  document.documentElement.dataset.dark = String(theme.dark);
}

export function Page() {
  const [lang, setLang] = createSignal<Lang>(firstLanguage(location.hash, navigator.languages));
  const asked = arrival();
  const words = () => wordsOf(lang());
  const [ways, { refetch }] = createResource(() => ask<Ways>("GET", "/api/session/ways"));
  const goOn = () => location.replace(asked.next);
  wear(matchMedia("(prefers-color-scheme: dark)").matches);
  createEffect(() => {
    document.documentElement.lang = lang() === "zh" ? "zh-CN" : "en";
    document.title = asked.mine ? words().mePage : words().page;
  });
  createEffect(() => {
    if (ways()?.answer?.access === "single") goOn(); // nobody has to log in here
  });
  return (
    <main class="login">
      <header>
        <Mark />
        <Language name={words().language} value={lang()} choose={setLang} />
      </header>
      <section class="card">
        <Show when={ways()?.refusal}>
          {(refusal) => (
            <>
              <Problem text={said(words(), refusal())} />
              <button type="button" class="button wide" onClick={() => refetch()}>
                {words().login}
              </button>
            </>
          )}
        </Show>
        <Show when={ways()?.answer?.access === "accounts" && ways()?.answer}>
          {(found) => (
            <Show
              when={!asked.mine}
              fallback={<AccountView words={words()} lang={lang()} ways={found() as Ways} />}
            >
              <LoginView
                words={words()}
                lang={lang()}
                ways={found() as Ways}
                link={asked.link}
                error={asked.error}
                next={asked.next}
                onIn={goOn}
              />
            </Show>
          )}
        </Show>
      </section>
    </main>
  );
}
