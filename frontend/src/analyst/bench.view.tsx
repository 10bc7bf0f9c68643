/** The workbench: question on top, tools at the map's left, answer at the right; a sheet on phones. */
import { ChevronDown, ChevronUp } from "lucide";
import { createSignal, For, Match, onCleanup, onMount, Switch } from "solid-js";
import { Bar } from "../command/bar.view";
import { useFrame } from "../command/frame";
import { Icon } from "../command/icon";
import type { MapHandle } from "../command/map.view";
import { SearchBox } from "../command/search.view";
import { StaleStrip } from "../command/stale.view";
import { AnswerPanel } from "./answer.view";
import { useAsk } from "./ask";
import { attachKeys } from "./keys";
import { PatternsPanel } from "./patterns.view";
import { QuestionBar } from "./question.view";
import { SavedPanel } from "./saved.view";
import { Stage } from "./stage.view";
import { TABS } from "./state";

export function Bench(props: { lost: boolean }) {
  const ask = useAsk();
  const { words } = useFrame();
  const [handle, setHandle] = createSignal<MapHandle>();
  const [open, setOpen] = createSignal(false);
  onMount(() => onCleanup(attachKeys(ask)));
  const found = (code: string) => {
    ask.put(
      [...ask.view.state.areas, { name: "", shape: { kind: "units", codes: [code] } }],
      ask.view.state.areas.length,
    );
  };
  return (
    <div class="desk bench" classList={{ "panel-open": open() }}>
      <button type="button" class="skip" onClick={() => handle()?.canvas().focus()}>
        {words().skip}
      </button>
      <Bar current="analyst" end={<SearchBox onFound={found} />} />
      <QuestionBar />
      <main class="stage" id="map">
        <StaleStrip lost={props.lost} />
        <Stage onReady={setHandle} />
      </main>
      <aside class="panel" aria-label={ask.say().tabs[ask.view.state.tab]}>
        <button
          type="button"
          class="sheet-handle"
          aria-expanded={open()}
          aria-label={open() ? words().collapse : words().expand}
          onClick={() => setOpen(!open())}
        >
          <Icon node={open() ? ChevronDown : ChevronUp} size={20} />
        </button>
        <fieldset class="segments tabs" aria-label={ask.say().page}>
          <For each={TABS}>
            {(tab) => (
              <button
                type="button"
                class="segment"
                data-tab={tab}
                aria-pressed={ask.view.state.tab === tab}
                onClick={() => {
                  ask.view.go({ tab });
                  setOpen(true);
                }}
              >
                {ask.say().tabs[tab]}
              </button>
            )}
          </For>
        </fieldset>
        <Switch fallback={<AnswerPanel />}>
          <Match when={ask.view.state.tab === "patterns"}>
            <PatternsPanel />
          </Match>
          <Match when={ask.view.state.tab === "saved"}>
            <SavedPanel />
          </Match>
        </Switch>
      </aside>
    </div>
  );
}
