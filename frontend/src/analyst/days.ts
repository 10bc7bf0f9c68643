/** Spans of local days, `to` is the day after the last. Days are text (YYYY-MM-DD) and pass no clock. Pure. */
import type { PeriodInfo } from "../api/models";
import { newest } from "../state/periods";

export interface Span {
  from: string;
  to: string;
}

/** A day moved by whole months; a day a month does not have becomes its last. */
export function addMonths(day: string, months: number): string {
  const [year, month, date] = day.split("-").map(Number) as [number, number, number];
  const index = year * 12 + (month - 1) + months;
  const [y, m] = [Math.floor(index / 12), index - Math.floor(index / 12) * 12 + 1];
  const last = new Date(Date.UTC(y, m, 0)).getUTCDate();
  return `${String(y).padStart(4, "0")}-${two(m)}-${two(Math.min(date, last))}`;
}

export function addDays(day: string, days: number): string {
  return new Date(Date.parse(`${day}T00:00:00Z`) + days * 86_400_000).toISOString().slice(0, 10);
}

export function daysBetween(span: Span): number {
  return Math.round((Date.parse(span.to) - Date.parse(span.from)) / 86_400_000);
}

const two = (n: number) => String(n).padStart(2, "0");

export type SpanPreset = "twelve" | "year" | "lastYear" | "half" | "quarter" | "month";
export const SPANS: readonly SpanPreset[] = [
  "month",
  "quarter",
  "half",
  "year",
  "lastYear",
  "twelve",
];

/** Spans that end with the newest complete month of the map. */
export function presetSpan(preset: SpanPreset, months: readonly PeriodInfo[]): Span {
  const end = months[newest(months)]?.end ?? "2000-01-01";
  const year = addDays(end, -1).slice(0, 4);
  switch (preset) {
    case "twelve":
      return { from: addMonths(end, -12), to: end };
    case "half":
      return { from: addMonths(end, -6), to: end };
    case "quarter":
      return { from: addMonths(end, -3), to: end };
    case "month":
      return { from: addMonths(end, -1), to: end };
    case "year":
      return { from: `${year}-01-01`, to: end };
    case "lastYear":
      return { from: addMonths(`${year}-01-01`, -12), to: `${year}-01-01` };
  }
}

/** The same days a year before. */
export function yearBefore(span: Span): Span {
  return { from: addMonths(span.from, -12), to: addMonths(span.to, -12) };
}

/** First days of the months a span touches. */
export function monthsOf(span: Span): string[] {
  const out: string[] = [];
  for (let month = `${span.from.slice(0, 7)}-01`; month < span.to; month = addMonths(month, 1)) {
    out.push(month);
  }
  return out;
}

/** 2026-03-01 → 10-31: the last day is shown, not the day after; the year once when it is the same. */
export function spanText(span: Span): string {
  const last = addDays(span.to, -1);
  return `${span.from} → ${last.slice(0, 4) === span.from.slice(0, 4) ? last.slice(5) : last}`;
}
