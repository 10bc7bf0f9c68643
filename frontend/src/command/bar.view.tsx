/** The bar on top of every page: mark, pages, what a page adds, language, who is logged in; a sheet of pages on phones. */
import { type JSX, Show } from "solid-js";
import { useFrame } from "./frame";
import { Mark } from "./mark";
import { LanguageSwitch, type Page, Pages, PagesMenu } from "./pages.view";
import { WhoAmI } from "./whoami.view";

/** `children` come after the pages, `end` before the language. */
export function Bar(props: { current: Page; children?: JSX.Element; end?: JSX.Element }) {
  return (
    <header class="topbar">
      <Mark />
      <Pages current={props.current} />
      {props.children}
      <div class="topbar-end">
        {props.end}
        <LanguageSwitch />
        <WhoAmI />
        <PagesMenu current={props.current} />
      </div>
    </header>
  );
}

/** What must be said of a map wherever it is shown. */
export function Badges(props: { approximate?: boolean }) {
  const { map, words } = useFrame();
  return (
    <>
      <Show when={(props.approximate ?? true) && map().approximate}>
        <span class="badge">{words().approximate}</span>
      </Show>
      <Show when={map().simulated}>
        <span class="badge">{words().simulated}</span>
      </Show>
    </>
  );
}
