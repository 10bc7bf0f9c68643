/** How feeds are, as the page orders and writes it. Pure. */
import type { components } from "../api/types.gen";
import { count, percent } from "../charts/numbers";

type Schemas = components["schemas"];
export type FeedList = Schemas["FeedList"];
/** A feed, with the seconds since its last arrival at the moment of the answer. */
export type Feed = Schemas["FeedHealth"] & { since_s: number | null };
export type FeedState = Feed["state"];
export type Diagnosis = NonNullable<Feed["diagnosis"]>;
export type Letters = Schemas["DeadLetters"];
export type Letter = Schemas["DeadLetter"];
export type Replay = Schemas["ReplayReport"];

/** What needs somebody first. */
export const ORDER: readonly FeedState[] = ["failing", "stopped", "late", "new", "fine", "paused"];
const WRONG: readonly FeedState[] = ["failing", "stopped", "late"];

/** Feeds of an answer with how long ago something came. */
export function dated(answer: FeedList): Feed[] {
  const now = Date.parse(answer.as_of);
  return answer.feeds.map((one) => ({
    ...one,
    since_s: one.last_arrival === null ? null : (now - Date.parse(one.last_arrival)) / 1000,
  }));
}

export function ordered(feeds: readonly Feed[]): Feed[] {
  return [...feeds].sort(
    (a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state) || a.name.localeCompare(b.name),
  );
}

/** Feeds somebody has to look at: their state, or what their points look like. */
export function troubled(feeds: readonly Feed[]): Feed[] {
  return ordered(feeds).filter((one) => WRONG.includes(one.state) || one.diagnosis !== null);
}

export interface SpanWords {
  seconds: (n: string) => string;
  minutes: (n: string) => string;
  hours: (n: string) => string;
  days: (n: string) => string;
}

/** A span in its largest unit; one decimal below 10, none from there on. */
export function span(seconds: number, say: SpanWords): string {
  const units: [number, (n: string) => string][] = [
    [86_400, say.days],
    [3_600, say.hours],
    [60, say.minutes],
  ];
  const shown = (n: number) => (n < 9.95 && n % 1 >= 0.05 ? n.toFixed(1) : count(Math.round(n)));
  for (const [size, name] of units) {
    if (seconds >= size) return name(shown(seconds / size));
  }
  return say.seconds(count(Math.max(0, Math.round(seconds))));
}

/** A share: none of none is a dash, none is 0, of few the two numbers, else per cent. */
export function share(part: number, whole: number): string {
  if (whole === 0) return "—";
  if (part === 0) return "0";
  if (whole < 20) return `${part}/${whole}`;
  const value = part / whole;
  return value < 0.0005 ? "<0.1%" : percent(value);
}

export interface Bar {
  x: number;
  /** Height of the rows that were used, and of those that were not, from the ground up. */
  used: number;
  refused: number;
}

/** Bars of the days, the highest filling the height; a day with rows is at least one pixel high. */
export function bars(days: Feed["days"], width: number, height: number): Bar[] {
  const most = Math.max(1, ...days.map((one) => one.rows));
  const step = width / Math.max(1, days.length);
  return days.map((one, index) => {
    const all = one.rows === 0 ? 0 : Math.max(1, (one.rows / most) * height);
    const refused = one.rejected === 0 ? 0 : Math.max(1, (one.rejected / one.rows) * all);
    return { x: index * step, used: Math.max(0, all - refused), refused };
  });
}

/** The columns of a kept row as one line. */
export function rowText(row: Letter["row"]): string {
  return Object.entries(row ?? {})
    .filter(([, value]) => value !== null && value !== "")
    .map(([name, value]) => `${name}=${plain(value)}`)
    .join("  ");
}

function plain(value: unknown): string {
  if (typeof value === "object" && value !== null && "time" in value) return String(value.time);
  return String(value);
}
