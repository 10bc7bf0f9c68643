/** Names and neighbours of periods. Dates are local calendar days (YYYY-MM-DD) and never pass a clock. */
import type { Period, PeriodInfo } from "../api/models";
import type { Lang } from "./hash";

export interface Ymd {
  year: number;
  month: number;
}

export function ymd(day: string): Ymd {
  return { year: Number(day.slice(0, 4)), month: Number(day.slice(5, 7)) };
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** 2026年10月 · 2026年第4季度 · 2026年 / Oct 2026 · Q4 2026 · 2026 */
export function periodName(period: Period, start: string, lang: Lang): string {
  const { year, month } = ymd(start);
  const quarter = Math.floor((month - 1) / 3) + 1;
  if (period === "year") return lang === "zh" ? `${year}年` : String(year);
  if (period === "quarter")
    return lang === "zh" ? `${year}年第${quarter}季度` : `Q${quarter} ${year}`;
  return lang === "zh" ? `${year}年${month}月` : `${MONTHS[month - 1]} ${year}`;
}

/** Axis tick: the month or quarter alone, the year of a year. */
export function tickName(period: Period, start: string): string {
  const { year, month } = ymd(start);
  if (period === "year") return String(year);
  return period === "quarter" ? `Q${Math.floor((month - 1) / 3) + 1}` : String(month);
}

/** 2026-10 · 2026 Q4 · 2026 */
export function shortName(period: Period, start: string): string {
  const { year, month } = ymd(start);
  if (period === "year") return String(year);
  if (period === "quarter") return `${year} Q${Math.floor((month - 1) / 3) + 1}`;
  return `${year}-${String(month).padStart(2, "0")}`;
}

/** Periods in one year. */
export const PER_YEAR: Record<Period, number> = { month: 12, quarter: 4, year: 1 };

/** The newest complete period, else the newest; -1 when there is none. */
export function newest(periods: readonly PeriodInfo[]): number {
  const complete = periods.findLastIndex((one) => one.complete);
  return complete >= 0 ? complete : periods.length - 1;
}

export function clampOrd(periods: readonly PeriodInfo[], ord: number | null): number {
  if (ord === null || ord >= periods.length) return newest(periods);
  return ord;
}

/** The period of another length that holds the end of this one: switching month → year keeps the time. */
export function sameTime(from: PeriodInfo | undefined, to: readonly PeriodInfo[]): number | null {
  if (!from) return null;
  const found = to.findIndex((one) => one.start < from.end && from.end <= one.end);
  return found >= 0 ? found : null;
}
