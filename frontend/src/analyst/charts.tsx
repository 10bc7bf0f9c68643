/**
 * Charts of the answer (LOOK 5): estimates with intervals on one log axis, the week in seven greys, months
 * with those of the year before. Every number of them stands beside them as text.
 */
import { For, Show } from "solid-js";
import type { Colour } from "../api/models";
import { count, linear, logarithmic } from "../charts/numbers";
import { monthsOf, type Span } from "./days";

export interface Axis {
  low: number;
  high: number;
}

/** One log axis for all rows: whole steps of two around every interval, at least ½…2, at most ⅛…8. */
export function axisOf(
  rows: readonly { low: number | null; high: number | null; relative_risk: number | null }[],
): Axis {
  let [low, high] = [0.5, 2];
  for (const row of rows) {
    const ends = [row.low, row.high, row.relative_risk].filter((one) => one !== null);
    for (const end of ends) {
      while (end < low * 0.96 && low > 1 / 8) low /= 2;
      while (end > high * 1.04 && high < 8) high *= 2;
    }
  }
  return { low, high };
}

export function ticksOf(axis: Axis): { at: number; text: string }[] {
  const names: Record<string, string> = {
    "0.125": "⅛",
    "0.25": "¼",
    "0.5": "½",
    "1": "1",
    "2": "2",
    "4": "4",
    "8": "8",
  };
  const out = [];
  for (let at = axis.low; at <= axis.high * 1.001; at *= 2) {
    out.push({ at, text: names[String(at)] ?? String(at) });
  }
  return out;
}

const WIDE = 140;
const scaleOf = (axis: Axis) => logarithmic(axis.low, axis.high, 8, WIDE - 8);

export function AxisHead(props: { axis: Axis }) {
  return (
    <svg class="axis-head" viewBox={`0 0 ${WIDE} 18`} aria-hidden="true">
      <For each={ticksOf(props.axis)}>
        {(tick) => (
          <text x={scaleOf(props.axis)(tick.at)} y="13">
            {tick.text}
          </text>
        )}
      </For>
    </svg>
  );
}

/** Dot = estimate in its class, line = interval, thin vertical = 1; `mark`: a value to compare with. */
export function RiskInterval(props: {
  axis: Axis;
  value: number | null;
  low: number | null;
  high: number | null;
  colour: Colour;
  mark?: number | null;
}) {
  const x = () => scaleOf(props.axis);
  return (
    <svg class="risk-interval" viewBox={`0 0 ${WIDE} 32`} aria-hidden="true">
      <For each={ticksOf(props.axis)}>
        {(tick) => (
          <line
            class={tick.at === 1 ? "one" : "grid"}
            x1={x()(tick.at)}
            x2={x()(tick.at)}
            y1="0"
            y2="32"
          />
        )}
      </For>
      <Show when={props.mark}>
        {(mark) => <line class="mark-line" x1={x()(mark())} x2={x()(mark())} y1="0" y2="32" />}
      </Show>
      <Show when={props.low !== null && props.high !== null}>
        <line
          class="interval"
          x1={x()(props.low as number)}
          x2={x()(props.high as number)}
          y1="16"
          y2="16"
        />
      </Show>
      <Show when={props.value !== null}>
        <circle class={`dot class-${props.colour}`} cx={x()(props.value as number)} cy="16" r="5" />
      </Show>
    </svg>
  );
}

/** Grey of a count among the week's: 0 none … 6 most. */
export function greyOf(n: number, most: number): number {
  if (n <= 0 || most <= 0) return 0;
  return Math.max(1, Math.ceil((6 * n) / most));
}

const CELL = 20;

/** A count inside a cell: of three digits smaller, of more only where one points at the cell. */
export function figureOf(n: number): { text: string; tight: boolean } {
  return { text: n < 1000 ? String(n) : "", tight: n >= 100 };
}

/** Hour × weekday in seven greys; figures in the darkest. */
export function WeekHours(props: {
  hours: readonly (number | null)[];
  days: readonly string[];
  label: string;
}) {
  const most = () => Math.max(1, ...props.hours.map((one) => one ?? 0));
  const left = 40;
  return (
    <svg
      class="week"
      viewBox={`0 0 ${left + 24 * CELL + 18} ${7 * 18 + 20}`}
      role="img"
      aria-label={props.label}
    >
      <For each={props.days}>
        {(day, row) => (
          <text class="day" x="0" y={row() * 18 + 13}>
            {day}
          </text>
        )}
      </For>
      <For each={props.hours}>
        {(n, index) => {
          const x = () => left + (index() % 24) * CELL;
          const y = () => Math.floor(index() / 24) * 18;
          const grey = () => greyOf(n ?? 0, most());
          return (
            <>
              <rect
                class={n === null ? "grey-few" : `grey-${grey()}`}
                x={x() + 0.5}
                y={y() + 0.5}
                width={CELL - 1.5}
                height="16.5"
                rx="2"
              >
                <Show when={n !== null}>
                  <title>{count(n)}</title>
                </Show>
              </rect>
              <Show when={grey() >= 5 && figureOf(n ?? 0)}>
                {(figure) => (
                  <text
                    class={`figure on-${grey()}`}
                    classList={{ tight: figure().tight }}
                    x={x() + CELL / 2 - 0.3}
                    y={y() + 12.6}
                  >
                    {figure().text}
                  </text>
                )}
              </Show>
            </>
          );
        }}
      </For>
      <For each={[0, 6, 12, 18, 24]}>
        {(hour) => (
          <text class="hour" x={left + hour * CELL} y={7 * 18 + 15}>
            {`${String(hour).padStart(2, "0")}:00`}
          </text>
        )}
      </For>
    </svg>
  );
}

export interface MonthRow {
  month: string;
  now: number | null;
  before: number | null;
  expected: number | null;
}

/** Counts by month of a span beside those of the year before; a hidden count stays a gap. */
export function monthRows(
  span: Span,
  now: { dates: readonly string[]; counts: readonly (number | null)[] } | null | undefined,
  before: { dates: readonly string[]; counts: readonly (number | null)[] } | null | undefined,
  expected: ReadonlyMap<string, number> | undefined,
): MonthRow[] {
  const read = (from: typeof now) =>
    new Map((from?.dates ?? []).map((date, index) => [date, from?.counts[index] ?? null]));
  const [current, past] = [read(now), read(before)];
  return monthsOf(span).map((month) => {
    const earlier = `${Number(month.slice(0, 4)) - 1}${month.slice(4)}`;
    return {
      month,
      now: now ? (current.has(month) ? (current.get(month) as number | null) : 0) : null,
      before: before ? (past.has(earlier) ? (past.get(earlier) as number | null) : 0) : null,
      expected: expected?.get(month) ?? null,
    };
  });
}

/** Round steps of a count axis from 0, at most four. */
export function stepsOf(top: number): number[] {
  const raw = Math.max(1, top) / 3;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((one) => one * power).find((one) => one >= raw) ?? 10 * power;
  const whole = Math.max(1, step);
  const out = [];
  for (let at = 0; at <= top * 1.001; at += whole) out.push(at);
  return out;
}

/** Room beside an axis for its longest number, in the drawing's units (letters of 12). */
export function roomOf(numbers: readonly number[], least: number, besides: number): number {
  return Math.max(least, besides + 7.5 * Math.max(...numbers.map((one) => count(one).length)));
}

/** Width of a word in letters of 12: Chinese ones are twice as wide. */
function widthOf(word: string): number {
  return [...word].reduce((sum, one) => sum + (one > "\u2e80" ? 12 : 6.6), 0);
}

export function MonthSeries(props: {
  rows: readonly MonthRow[];
  colour: Colour;
  tick: (month: string) => string;
  ends: { now: string; before: string; expected: string };
  label: string;
}) {
  const [width, height] = [520, 150];
  const floor = height - 24;
  const half = (e: number) => 1.96 * Math.sqrt(e);
  const top = () =>
    Math.max(
      3,
      ...props.rows.flatMap((row) => [
        row.now ?? 0,
        row.before ?? 0,
        row.expected === null ? 0 : row.expected + half(row.expected),
      ]),
    ) * 1.06;
  const ends = () => [props.ends.now, props.ends.before, props.ends.expected];
  const left = () => roomOf(stepsOf(top()), 34, 12);
  const right = () => roomOf([Math.round(top())], 92, 26 + Math.max(...ends().map(widthOf)));
  const x = () => linear(0, Math.max(1, props.rows.length - 1), left(), width - right());
  const y = () => linear(0, top(), floor, 8);
  const path = (read: (row: MonthRow) => number | null) => {
    let pen = "M";
    let out = "";
    props.rows.forEach((row, index) => {
      const n = read(row);
      if (n === null) {
        pen = "M";
        return;
      }
      out += `${pen}${x()(index).toFixed(1)} ${y()(n).toFixed(1)}`;
      pen = "L";
    });
    return out;
  };
  const area = () => {
    const known = props.rows.flatMap((row, index) =>
      row.expected === null ? [] : [{ e: row.expected, index }],
    );
    if (known.length < 2) return "";
    const upper = known.map(({ e, index }) => `${x()(index)} ${y()(e + half(e))}`);
    const lower = known.map(({ e, index }) => `${x()(index)} ${y()(Math.max(0, e - half(e)))}`);
    return `M${[...upper, ...lower.toReversed()].join("L")}Z`;
  };
  const every = () => Math.ceil(props.rows.length / 9);
  const last = () => props.rows.at(-1);
  /** Names at the line's ends, at least 17 px apart. */
  const notes = () => {
    const row = last();
    if (!row) return [];
    const all = [
      { text: props.ends.now, n: row.now, bold: true },
      { text: props.ends.before, n: row.before, bold: false },
      { text: props.ends.expected, n: row.expected, bold: false },
    ].filter((one) => one.n !== null);
    const placed = all
      .map((one) => ({ ...one, y: y()(one.n as number) + 5 }))
      .sort((a, b) => a.y - b.y);
    for (let i = 1; i < placed.length; i++) {
      const [above, here] = [placed[i - 1], placed[i]];
      if (above && here && here.y < above.y + 17) here.y = above.y + 17;
    }
    const over = Math.max(0, (placed.at(-1)?.y ?? 0) - (floor + 8));
    return placed.map((one) => ({ ...one, y: one.y - over }));
  };
  return (
    <svg class="months" viewBox={`0 0 ${width} ${height}`} role="img" aria-label={props.label}>
      <For each={stepsOf(top())}>
        {(step) => (
          <>
            <line class="step" x1={left()} x2={width - right()} y1={y()(step)} y2={y()(step)} />
            <text class="count" x={left() - 10} y={y()(step) + 4}>
              {count(step)}
            </text>
          </>
        )}
      </For>
      <path class="band" d={area()} />
      <path class="before" d={path((row) => row.before)} />
      <path class="now" d={path((row) => row.now)} />
      <For each={props.rows}>
        {(row, index) => (
          <>
            <Show when={row.now !== null && index() < props.rows.length - 1}>
              <circle class="point" cx={x()(index())} cy={y()(row.now as number)} r="2.4" />
            </Show>
            <Show when={(props.rows.length - 1 - index()) % every() === 0}>
              <text class="tick" x={x()(index())} y={height - 5}>
                {props.tick(row.month)}
              </text>
            </Show>
          </>
        )}
      </For>
      <Show when={last()?.now !== null && last()}>
        {(row) => (
          <circle
            class={`dot class-${props.colour}`}
            cx={x()(props.rows.length - 1)}
            cy={y()(row().now as number)}
            r="5"
          />
        )}
      </Show>
      <For each={notes()}>
        {(one) => (
          <>
            <text class={one.bold ? "end bold" : "end"} x={width - right() + 12} y={one.y}>
              {one.text}
            </text>
            <text class={one.bold ? "end-n bold" : "end-n"} x={width - 2} y={one.y}>
              {count(Math.round(one.n as number))}
            </text>
          </>
        )}
      </For>
    </svg>
  );
}
