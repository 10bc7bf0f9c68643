/** Where inside, and against whom: units that share the ground, and units exposed alike. */
import { createSignal, For, Show } from "solid-js";
import type { ChildRisk, ComparisonRisk } from "../api/analysis";
import { expectedCount, percent, ratio } from "../charts/numbers";
import { Swatch } from "../command/chip.view";
import { useFrame } from "../command/frame";
import { useAsk } from "./ask";
import { axisOf, RiskInterval } from "./charts";
import type { Focus } from "./focus";
import { seen } from "./seen";

const FIRST = 6;

export function Where(_props: { focus: Focus }) {
  const ask = useAsk();
  const say = ask.say;
  const { map, nameOf, title } = useFrame();
  const [all, setAll] = createSignal(false);
  const children = () =>
    (ask.analysis.data()?.children ?? [])
      .filter((one) => one.observed !== 0 || (one.expected ?? 0) > 0)
      .toSorted((a, b) => Number(a.rest) - Number(b.rest) || order(b) - order(a));
  /** Nothing is said of what lies inside as a whole. */
  const partOf = (share: number | null) =>
    share === null || share > 0.9995 ? "" : say().share(percent(share, 0));
  const named = (one: ChildRisk) =>
    one.name === null ? (one.code ?? "—") : nameOf({ name: one.name, name_en: one.name_en });
  const order = (one: ChildRisk) => one.relative_risk ?? -1;
  const shown = () => (all() ? children() : children().slice(0, FIRST));
  const comparisons = () => ask.analysis.data()?.comparisons ?? [];
  const level = () => {
    const id = ask.analysis.data()?.child_level;
    const found = map().levels.find((one) => one.id === id);
    return found ? title(found.title) : "";
  };
  const overall = () => ask.analysis.data()?.overall.relative_risk ?? null;
  const axis = () => axisOf([...shown(), ...comparisons()]);
  return (
    <>
      <Show when={children().length > 0}>
        <section class="block rows" data-testid="children">
          <h3>
            <span>{say().children(level())}</span>
            <span>{say().childrenNote}</span>
          </h3>
          <For each={shown()}>
            {(one) => (
              <RiskRow
                row={one}
                name={one.rest ? say().rest : named(one)}
                note={partOf(one.share_inside)}
                axis={axis()}
              />
            )}
          </For>
          <Show when={children().length > FIRST}>
            <button type="button" class="link" onClick={() => setAll(!all())}>
              {all() ? say().fewer : say().allOf(String(children().length))}
            </button>
          </Show>
        </section>
      </Show>
      <Show when={comparisons().length > 0}>
        <section class="block rows" data-testid="comparisons">
          <h3>
            <span>{say().comparisons}</span>
            <span>{say().comparisonsNote}</span>
          </h3>
          <For each={comparisons()}>
            {(one) => (
              <RiskRow row={one} name={nameOf(one)} note="" axis={axis()} mark={overall()} />
            )}
          </For>
        </section>
      </Show>
    </>
  );
}

function RiskRow(props: {
  row: ChildRisk | ComparisonRisk;
  name: string;
  note: string;
  axis: ReturnType<typeof axisOf>;
  mark?: number | null;
}) {
  return (
    <div class="risk-row">
      <Swatch colour={props.row.colour} />
      <span class="name" title={props.name}>
        <span>{props.name}</span>
        <Show when={props.note}>
          <small>{props.note}</small>
        </Show>
      </span>
      <b class="num">{seen(props.row.observed_text)}</b>
      <span class="quiet">/ {props.row.suppressed ? "—" : expectedCount(props.row.expected)}</span>
      <RiskInterval
        axis={props.axis}
        value={props.row.relative_risk}
        low={props.row.low}
        high={props.row.high}
        colour={props.row.colour}
        mark={props.mark ?? null}
      />
      <span class="risk-text">
        <b>{ratio(props.row.relative_risk)}</b>{" "}
        <Show when={props.row.low !== null}>
          {`${ratio(props.row.low)}–${ratio(props.row.high)}`}
        </Show>
      </span>
    </div>
  );
}
