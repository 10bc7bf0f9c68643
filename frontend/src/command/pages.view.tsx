/** The pages of the product and the language; pages that do not exist yet are named, not linked. */
import { For, Show } from "solid-js";
import { useFrame } from "./frame";
import { LookSwitch } from "./look.view";
import { may } from "./me";

export type Page = "command" | "analyst" | "border" | "tasks" | "report" | "addresses" | "feeds";
const ADDRESS: Record<string, string | undefined> = {
  command: "/",
  analyst: "/analyst",
  border: "/border",
  tasks: "/tasks",
  report: "/report",
  addresses: "/addresses",
  feeds: "/feeds",
};
/** Pages of the back office: only who may use them is told of them. */
const NEEDS: Record<string, string | undefined> = {
  addresses: "address:review",
  feeds: "feed:read",
};

export function Pages(props: { current: Page }) {
  const { words, view } = useFrame();
  /** What every page understands goes along; the rest of a link belongs to its page. */
  const kept = () => {
    const parts = new URLSearchParams();
    const { map, lang, theme, palette, pattern } = view.state;
    if (map) parts.set("map", map);
    if (lang !== "zh") parts.set("lang", lang);
    if (theme !== "light") parts.set("theme", theme);
    if (palette !== "standard") parts.set("palette", palette);
    if (pattern) parts.set("pattern", "1");
    return parts.size > 0 ? `#${parts}` : "";
  };
  const shown = (page: string) => {
    const action = NEEDS[page];
    return action === undefined || page === props.current || may(action);
  };
  return (
    <nav class="pages" aria-label={words().navigation}>
      <For each={Object.entries(words().nav).filter(([page]) => shown(page))}>
        {([page, name]) => (
          <Show
            when={ADDRESS[page]}
            fallback={
              <span class="page" aria-disabled="true" title={words().later}>
                {name}
              </span>
            }
          >
            {(address) => (
              <a
                class="page"
                href={page === props.current ? location.pathname : address() + kept()}
                aria-current={page === props.current ? "page" : undefined}
              >
                {name}
              </a>
            )}
          </Show>
        )}
      </For>
      <a
        class="page"
        href={view.state.lang === "en" ? "/docs/en/" : "/docs/"}
        title={words().docs}
        aria-label={words().docs}
      >
        ?
      </a>
    </nav>
  );
}

/** `look`: with the button of colours and theme; without where a page has room for it elsewhere. */
export function LanguageSwitch(props: { look?: boolean }) {
  const model = useFrame();
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
      <Show when={props.look ?? true}>
        <LookSwitch />
      </Show>
    </fieldset>
  );
}
