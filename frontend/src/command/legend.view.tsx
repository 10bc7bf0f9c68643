/** Legend with the count of every class; no data is always listed, at 0 too. */
import { Bell, ChevronDown, ChevronUp } from "lucide";
import { createSignal, For, Show } from "solid-js";
import { type CellInfo, CLASSES } from "../api/models";
import { count, percent } from "../charts/numbers";
import { createLow, createNarrow } from "../state/narrow";
import { Swatch } from "./chip.view";
import { Icon } from "./icon";
import { useModel } from "./model";

export function Legend(props: { ref?: (box: HTMLElement) => void }) {
  const model = useModel();
  const words = model.words;
  const cells = () => model.cells.shown().length > 0;
  const counts = () => (cells() ? model.cells.counts.data()?.counts : model.summary.data()?.counts);
  const total = () => counts()?.reduce((sum, one) => sum + one.count, 0);
  const share = () => model.summary.data()?.grid_share ?? model.map().grid_share;
  const finest = () => model.map().levels.at(-1);
  const narrow = createNarrow();
  const low = createLow();
  // on a low phone one row of numbers, until somebody asks for the words
  const [chosen, setChosen] = createSignal<boolean>();
  const folded = () => narrow() && (chosen() ?? low());
  const fold = () => (folded() ? words().legendOpen : words().legendFold);
  return (
    <section
      ref={(box) => props.ref?.(box)}
      class="legend floating"
      classList={{ "legend-folded": folded() }}
      aria-label={words().legend}
    >
      <h2>
        <span>
          <Show when={cells()} fallback={model.title(model.level().title)}>
            {words().cells}
          </Show>{" "}
          <Show when={total() !== undefined}>{words().units(count(total()))}</Show>
        </span>
        <span>{words().colourName}</span>
      </h2>
      <ul>
        <For each={CLASSES}>
          {(colour) => (
            <li data-class={colour} title={folded() ? words().colours[colour] : undefined}>
              <Swatch colour={colour} wide />
              <b>{words().colours[colour]}</b>
              <span class="meaning">{words().meanings[colour]}</span>
              <span class="n">{count(counts()?.find((one) => one.colour === colour)?.count)}</span>
            </li>
          )}
        </For>
      </ul>
      <Show when={!cells() && model.alerts.marks().length > 0}>
        <p class="legend-alerts">
          <span class="alert-disc">
            <Icon node={Bell} />
          </span>
          <b>{words().alertMark}</b>
          <span class="n">{count(model.alerts.marks().length)}</span>
        </p>
      </Show>
      <Show when={narrow()}>
        <button
          type="button"
          class="legend-fold"
          aria-expanded={!folded()}
          aria-label={fold()}
          title={fold()}
          onClick={() => setChosen(!folded())}
        >
          <Icon node={folded() ? ChevronUp : ChevronDown} />
        </button>
      </Show>
      <Show when={model.cells.info()}>
        {(one) => (
          <Show when={insideShare(one())}>
            {(share) => <p class="legend-note">{words().cellShare(share(), one().res)}</p>}
          </Show>
        )}
      </Show>
      <Show when={!cells() && share() !== null && finest()}>
        {(level) => (
          <p class="legend-note">
            {words().gridShare(percent(share(), 1), model.title(level().title))}
          </p>
        )}
      </Show>
    </section>
  );
}

/** Share of events with a point on the map; empty where only a part of the map is seen. */
function insideShare(one: CellInfo): string {
  const { inside, outside, no_point: none } = one;
  if (inside === null || outside === null || none === null) return "";
  return percent(inside / Math.max(1, inside + outside + none), 1);
}
