/** Top bar: mark, pages, bread crumbs, search, language. Pages that do not exist yet are named, not linked. */
import { ChevronRight } from "lucide";
import { For, Show } from "solid-js";
import { Icon } from "./icon";
import { Mark } from "./mark";
import { crumbs, useModel } from "./model";
import { SearchBox } from "./search.view";
import { WhoAmI } from "./whoami.view";

export function TopBar(props: { onGo: (code: string) => void; onFound: (code: string) => void }) {
  const model = useModel();
  const words = model.words;
  const pages = () => Object.entries(words().nav);
  return (
    <header class="topbar">
      <Mark />
      <nav class="pages" aria-label={words().navigation}>
        <For each={pages()}>
          {([page, name]) => (
            <Show
              when={page === "command"}
              fallback={
                <span class="page" aria-disabled="true" title={words().later}>
                  {name}
                </span>
              }
            >
              <a class="page" href={location.pathname} aria-current="page">
                {name}
              </a>
            </Show>
          )}
        </For>
      </nav>
      <Crumbs onGo={props.onGo} />
      <div class="topbar-end">
        <SearchBox onFound={props.onFound} />
        <LanguageSwitch />
        <WhoAmI />
      </div>
    </header>
  );
}

export function Crumbs(props: { onGo: (code: string) => void }) {
  const model = useModel();
  const chain = () => crumbs(model);
  return (
    <nav class="crumbs" aria-label={model.words().crumbs}>
      <For each={chain()}>
        {(crumb, index) => (
          <>
            <Show when={index() > 0}>
              <Icon node={ChevronRight} />
            </Show>
            <Show
              when={index() < chain().length - 1}
              fallback={
                <span class="crumb" aria-current="true">
                  {crumb.name}
                </span>
              }
            >
              <button type="button" class="crumb" onClick={() => props.onGo(crumb.code)}>
                {crumb.name}
              </button>
            </Show>
          </>
        )}
      </For>
    </nav>
  );
}

export function LanguageSwitch() {
  const model = useModel();
  const lang = () => model.view.state.lang;
  return (
    <fieldset class="language" aria-label={model.words().language}>
      <button
        type="button"
        lang="zh-CN"
        aria-pressed={lang() === "zh"}
        onClick={() => model.view.go({ lang: "zh" }, "replace")}
      >
        中
      </button>
      <span aria-hidden="true">/</span>
      <button
        type="button"
        lang="en"
        aria-pressed={lang() === "en"}
        onClick={() => model.view.go({ lang: "en" }, "replace")}
      >
        EN
      </button>
    </fieldset>
  );
}
