/** Top bar: mark, pages, bread crumbs, search, language. */
import { ChevronRight } from "lucide";
import { For, Show } from "solid-js";
import { Bar } from "./bar.view";
import { Icon } from "./icon";
import { crumbs, useModel } from "./model";
import { SearchBox } from "./search.view";

export function TopBar(props: { onGo: (code: string) => void; onFound: (code: string) => void }) {
  return (
    <Bar current="command" end={<SearchBox onFound={props.onFound} />}>
      <Crumbs onGo={props.onGo} />
    </Bar>
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
