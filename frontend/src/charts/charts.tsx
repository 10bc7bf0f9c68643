/**
 * Small charts of LOOK 5 as SVG. A viewBox unit is one CSS px at the desk's type size; CSS gives the width.
 * Every chart that carries a number says it in words beside it, so the drawings are hidden from readers.
 */
import { For, Show } from "solid-js";
import type { Colour, SeriesPoint } from "../api/models";
import type { Words } from "../i18n";
import { count, linear, logarithmic, ratio, signed } from "./numbers";
import type { Waterfall } from "./waterfall";

/** Rank on a log axis 1…n: dot = rank, line = 90 % interval. */
export function RankInterval(props: { rank: number; low: number; high: number; of: number }) {
  const x = () => logarithmic(1, Math.max(2, props.of), 4, 92);
  return (
    <svg class="rank-interval" viewBox="0 0 96 16" aria-hidden="true">
      <line class="axis" x1="4" x2="92" y1="8" y2="8" />
      <line class="interval" x1={x()(props.low)} x2={x()(props.high)} y1="8" y2="8" />
      <circle class="dot" cx={x()(props.rank)} cy="8" r="3.2" />
    </svg>
  );
}

/** Ratio with interval on a log axis ½…4 (wider when needed); the thin vertical is 1. */
export function RatioInterval(props: {
  ratio: number;
  low: number | null;
  high: number | null;
  colour?: Colour;
}) {
  const x = () => logarithmic(0.5, 2, 4, 60);
  return (
    <svg class="ratio-interval" viewBox="0 0 64 16" aria-hidden="true">
      <line class="one" x1={x()(1)} x2={x()(1)} y1="2" y2="14" />
      <Show when={props.low !== null && props.high !== null}>
        <line
          class="interval"
          x1={x()(props.low as number)}
          x2={x()(props.high as number)}
          y1="8"
          y2="8"
        />
      </Show>
      <circle
        class={props.colour ? `dot class-${props.colour}` : "dot"}
        cx={x()(props.ratio)}
        cy="8"
        r="3.2"
      />
    </svg>
  );
}

/** Share of each class in one bar. */
export function ClassBar(props: { counts: Record<Colour, number> }) {
  const order: Colour[] = ["red", "orange", "yellow", "green", "blue", "none"];
  const parts = () => {
    const total = order.reduce((sum, one) => sum + (props.counts[one] ?? 0), 0) || 1;
    let at = 0;
    return order.flatMap((colour) => {
      const n = props.counts[colour] ?? 0;
      if (n === 0) return [];
      const width = (n / total) * 76;
      const part = { colour, x: at, width: Math.max(width, 1.5) };
      at += width;
      return [part];
    });
  };
  return (
    <svg class="class-bar" viewBox="0 0 76 14" preserveAspectRatio="none" aria-hidden="true">
      <For each={parts()}>
        {(part) => (
          <rect class={`fill-${part.colour}`} x={part.x} y="0" width={part.width} height="14" />
        )}
      </For>
    </svg>
  );
}

const ROW = 23;

/** From 1.00 through the kinds to θ with its interval. */
export function WaterfallChart(props: {
  data: Waterfall;
  nameOf: (id: string, merged: number) => string;
  words: Words;
  colour: Colour;
}) {
  const left = 112;
  const right = 300;
  const rows = () => props.data.steps.length;
  const height = () => (rows() + 2) * ROW + 6;
  const ends = () => {
    const all = [1, props.data.theta, props.data.low, props.data.high].concat(
      props.data.steps.flatMap((step) => [step.from, step.to]),
    );
    const low = Math.min(...all);
    const high = Math.max(...all);
    const room = Math.max(high - low, 0.05) * 0.04;
    return [low - room, high + room] as const;
  };
  const x = () => linear(ends()[0], ends()[1], left, right);
  const y = (row: number) => row * ROW + ROW / 2;
  const last = () => y(rows() + 1) + 4;
  return (
    <svg
      class="waterfall"
      viewBox={`0 0 352 ${height()}`}
      role="img"
      aria-label={props.words.whyTheta}
    >
      <line class="one" x1={x()(1)} x2={x()(1)} y1="2" y2={height() - 4} />
      <text class="name" x="0" y={y(0) + 5}>
        {props.words.expected}
      </text>
      <circle class="hollow" cx={x()(1)} cy={y(0)} r="4.4" />
      <text class="value" x="350" y={y(0) + 5}>
        1.00
      </text>
      <For each={props.data.steps}>
        {(step, index) => {
          const a = () => Math.min(x()(step.from), x()(step.to));
          const b = () => Math.max(x()(step.from), x()(step.to));
          return (
            <g>
              <text class="name" x="0" y={y(index() + 1) + 5}>
                {props.nameOf(step.id, step.merged)}
              </text>
              <line
                class="stem"
                x1={x()(step.from)}
                x2={x()(step.from)}
                y1={index() === 0 ? y(0) + 5 : y(index()) + 7}
                y2={y(index() + 1) - 7}
              />
              <rect
                class={step.colour ? `fill-${step.colour}` : "fill-rest"}
                x={a()}
                y={y(index() + 1) - 7.5}
                width={Math.max(b() - a(), 2)}
                height="15"
              />
              <text class="value" x="350" y={y(index() + 1) + 5}>
                {signed(step.printed)}
              </text>
            </g>
          );
        }}
      </For>
      <line
        class="stem"
        x1={x()(props.data.theta)}
        x2={x()(props.data.theta)}
        y1={y(rows()) + 7}
        y2={last() - 5}
      />
      <line class="rule" x1="0" x2="352" y1={last() - ROW / 2 - 1} y2={last() - ROW / 2 - 1} />
      <text class="name total" x="0" y={last() + 5}>
        {props.words.relativeRisk}
      </text>
      <line
        class="whisker"
        x1={x()(props.data.low)}
        x2={x()(props.data.high)}
        y1={last()}
        y2={last()}
      />
      <For each={[props.data.low, props.data.high]}>
        {(end) => (
          <line class="whisker" x1={x()(end)} x2={x()(end)} y1={last() - 4} y2={last() + 4} />
        )}
      </For>
      <circle class={`dot class-${props.colour}`} cx={x()(props.data.theta)} cy={last()} r="5" />
      <text class="value total" x="350" y={last() + 5}>
        {ratio(props.data.theta)}
      </text>
    </svg>
  );
}

export interface SeriesShape {
  /** Periods shown, oldest first; the last is the present one. */
  now: readonly SeriesPoint[];
  /** The same periods a year before; null where there are none. */
  lastYear: readonly (SeriesPoint | null)[];
}

/** `span` periods up to `ord`, and the same a year before. */
export function windowOf(
  points: readonly SeriesPoint[],
  ord: number,
  span: number,
  perYear: number,
): SeriesShape {
  const end = Math.min(ord, points.length - 1);
  const start = Math.max(0, end - span + 1);
  const now = points.slice(start, end + 1);
  return { now, lastYear: now.map((_, index) => points[start + index - perYear] ?? null) };
}

/** Observed in ink, last year dotted, expected (±1.96 √E) as a grey band, last point in its class. */
export function SeriesChart(props: {
  shape: SeriesShape;
  words: Words;
  first: string;
  last: string;
  width: number;
  height: number;
  unitWord?: boolean;
}) {
  const edge = () => props.width - 74;
  const floor = () => props.height - 24;
  const top = () => {
    const all = [...props.shape.now, ...props.shape.lastYear].flatMap((point) =>
      point ? [point.observed ?? 0, band(point)[1]] : [],
    );
    return Math.max(1, ...all) * 1.04;
  };
  /** A line may start above 0 when all of it is far from 0; otherwise it starts there. */
  const bottom = () => {
    const all = [...props.shape.now, ...props.shape.lastYear].flatMap((point) =>
      point ? [point.observed ?? band(point)[0], band(point)[0]] : [],
    );
    const low = Math.min(...all);
    return low > top() * 0.6 ? low - (top() - low) * 0.6 : 0;
  };
  const x = () => linear(0, Math.max(1, props.shape.now.length - 1), 4, edge());
  const y = () => linear(bottom(), top(), floor(), 8);
  const path = (points: readonly (SeriesPoint | null)[]) => {
    let pen = "M";
    let out = "";
    points.forEach((point, index) => {
      if (!point || point.observed === null) {
        pen = "M";
        return;
      }
      out += `${pen}${x()(index).toFixed(1)} ${y()(point.observed).toFixed(1)}`;
      pen = "L";
    });
    return out;
  };
  const area = () => {
    const known = props.shape.now
      .map((point, index) => ({ point, index }))
      .filter(({ point }) => point.expected !== null);
    if (known.length < 2) return "";
    const upper = known.map(({ point, index }) => [x()(index), y()(band(point)[1])] as const);
    const lower = known.map(({ point, index }) => [x()(index), y()(band(point)[0])] as const);
    const all = [...upper, ...lower.toReversed()];
    return `M${all.map(([a, b]) => `${a.toFixed(1)} ${b.toFixed(1)}`).join("L")}Z`;
  };
  const end = () => props.shape.now.at(-1);
  const before = () => props.shape.lastYear.at(-1);
  const endY = () => y()(end()?.observed ?? 0);
  /** End labels keep 15 px apart: the value at its point, the others below or above it. */
  const noteY = () => {
    const low = Math.max(endY() + 20, floor() - 20);
    return endY() + 36 > floor() + 6 ? Math.max(10, endY() - 36) : Math.min(low, floor() - 12);
  };
  return (
    <svg
      class="series"
      viewBox={`0 0 ${props.width} ${props.height}`}
      role="img"
      aria-label={props.words.lastYearSeries}
    >
      <path class="band" d={area()} />
      <path class="before" d={path(props.shape.lastYear)} />
      <path class="now" d={path(props.shape.now)} />
      <Show when={end()?.observed !== null && end()}>
        {(point) => (
          <>
            <circle
              class={`dot class-${point().colour}`}
              cx={x()(Math.max(0, props.shape.now.length - 1))}
              cy={endY()}
              r="5"
            />
            <text class="value" x={props.width - 2} y={Math.max(12, endY() + 5)}>
              {count(point().observed)}
            </text>
            <Show when={before()}>
              <text class="note end" x={props.width - 2} y={noteY()}>
                {props.words.lastYear(count(before()?.observed))}
              </text>
            </Show>
            <Show when={point().expected !== null}>
              <text class="note end" x={props.width - 2} y={noteY() + 15}>
                {props.words.expectedIs(count(Math.round(point().expected ?? 0)))}
              </text>
            </Show>
          </>
        )}
      </Show>
      <text class="note" x="0" y={props.height - 4}>
        {props.first}
      </text>
      <text class="note end" x={edge() + 4} y={props.height - 4}>
        {props.last}
      </text>
    </svg>
  );
}

/** Where a count would lie 19 times in 20 if only the expectation were at work (normal approximation). */
export function band(point: SeriesPoint): readonly [number, number] {
  const e = point.expected ?? 0;
  const half = 1.96 * Math.sqrt(Math.max(e, 0));
  return [Math.max(0, e - half), e + half];
}
