/** The pages of the product and the language; pages that do not exist yet are named, not linked. */
import { ChevronRight, Menu, X } from "lucide";
import { createSignal, createUniqueId, For, Show } from "solid-js";
import { useFrame } from "./frame";
import { Icon } from "./icon";
import { LookSwitch } from "./look.view";
import { may } from "./me";
import { WhoAmI } from "./whoami.view";

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

/** Name and address of each page there is for whoever looks; a page that does not exist yet has no address. */
function pagesOf(current: Page): () => [page: string, name: string, address?: string][] {
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
    return action === undefined || page === current || may(action);
  };
  return () =>
    Object.entries(words().nav)
      .filter(([page]) => shown(page))
      .map(([page, name]) => {
        const address = ADDRESS[page];
        const here = page === current;
        return [page, name, here ? location.pathname : address && address + kept()];
      });
}

const docsOf = (lang: string) => (lang === "en" ? "/docs/en/" : "/docs/");

export function Pages(props: { current: Page }) {
  const { words, view } = useFrame();
  const pages = pagesOf(props.current);
  return (
    <nav class="pages" aria-label={words().navigation}>
      <For each={pages()}>
        {([page, name, address]) => (
          <Show
            when={address}
            fallback={
              <span class="page" aria-disabled="true" title={words().later}>
                {name}
              </span>
            }
          >
            <a
              class="page"
              href={address}
              aria-current={page === props.current ? "page" : undefined}
            >
              {name}
            </a>
          </Show>
        )}
      </For>
      <a class="page" href={docsOf(view.state.lang)} title={words().docs} aria-label={words().docs}>
        ?
      </a>
    </nav>
  );
}

/** Phones have no room for the pages in the bar: a button there opens them as a sheet, with the way out. */
export function PagesMenu(props: { current: Page }) {
  const { words, view } = useFrame();
  const pages = pagesOf(props.current);
  const [open, setOpen] = createSignal(false);
  const id = createUniqueId();
  let sheet!: HTMLDialogElement;
  const show = () => {
    setOpen(true);
    sheet.showModal();
  };
  return (
    <>
      <button
        type="button"
        class="pages-open"
        title={words().navigation}
        aria-label={words().navigation}
        aria-haspopup="dialog"
        aria-expanded={open()}
        aria-controls={id}
        onClick={show}
      >
        <Icon node={Menu} size={22} />
      </button>
      {/* a press beside the sheet meets the dialog itself; its keys are not the map's */}
      <dialog
        ref={sheet}
        id={id}
        class="pages-sheet"
        aria-label={words().navigation}
        onClose={() => setOpen(false)}
        onClick={(event) => event.target === sheet && sheet.close()}
        onKeyDown={(event) => event.stopPropagation()}
      >
        <Show when={open()}>
          <div class="pages-head">
            <WhoAmI />
            <button
              type="button"
              class="icon-button"
              aria-label={words().close}
              title={words().close}
              onClick={() => sheet.close()}
            >
              <Icon node={X} size={22} />
            </button>
          </div>
          <nav class="pages-list" aria-label={words().navigation}>
            <For each={pages().filter(([, , address]) => address)}>
              {([page, name, address]) => (
                <a href={address} aria-current={page === props.current ? "page" : undefined}>
                  {name}
                  <Icon node={ChevronRight} size={20} />
                </a>
              )}
            </For>
            <a href={docsOf(view.state.lang)}>
              {words().docs}
              <Icon node={ChevronRight} size={20} />
            </a>
          </nav>
        </Show>
      </dialog>
    </>
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
