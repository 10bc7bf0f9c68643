/** Share of orange, red and yellow units over all periods, as small stacked bars. */
import { createMemo, For } from "solid-js";
import type { Colour, Summary } from "../api/models";
import { percent } from "../charts/numbers";
import { shortName } from "../state/periods";
import { useModel } from "./model";
import { warmShare } from "./timeline.view";

const WIDTH = 300;
const FLOOR = 124;
const ORDER: readonly Colour[] = ["yellow", "orange", "red"];

export function ClassTrend(props: { summary: Summary }) {
  const model = useModel();
  const highest = createMemo(() =>
    Math.max(0.05, ...props.summary.class_trend.map((counts) => warmShare(counts) ?? 0)),
  );
  const step = () => WIDTH / Math.max(1, props.summary.class_trend.length);
  const parts = (counts: Record<Colour, number>, index: number) => {
    const total = Object.values(counts).reduce((sum, one) => sum + one, 0) - (counts.none ?? 0);
    let y = FLOOR;
    return ORDER.map((colour) => {
      const height = ((counts[colour] ?? 0) / Math.max(1, total) / highest()) * 96;
      y -= height;
      return { colour, x: index * step() + step() * 0.12, y, height, width: step() * 0.76 };
    });
  };
  const now = () => props.summary.class_trend[model.ord()];
  const period = () => model.view.state.period;
  return (
    <section class="block class-trend">
      <h3>
        <span>{model.words().warmShare}</span>
        <b>{percent(warmShare(now()))}</b>
      </h3>
      <svg viewBox={`0 0 ${WIDTH} 150`} aria-hidden="true" class="series">
        <For each={props.summary.class_trend}>
          {(counts, index) => (
            <For each={parts(counts, index())}>
              {(part) => (
                <rect
                  class={`fill-${part.colour}`}
                  x={part.x}
                  y={part.y}
                  width={part.width}
                  height={part.height}
                />
              )}
            </For>
          )}
        </For>
        <line class="floor" x1="0" x2={WIDTH} y1={FLOOR} y2={FLOOR} />
        <path class="pointer" d={`M${(model.ord() + 0.5) * step()} ${FLOOR + 3}l4 6h-8z`} />
        <text class="note" x="0" y="146">
          {shortName(period(), model.periods()[0]?.start ?? "")}
        </text>
        <text class="note end" x={WIDTH} y="146">
          {shortName(period(), model.periods().at(-1)?.start ?? "")}
        </text>
      </svg>
    </section>
  );
}
