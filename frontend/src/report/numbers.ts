/** What a cell of the report says, from the answer's numbers. Pure. */
import type {
  Calendar,
  CalendarPeriod,
  IndicatorChange,
  IndicatorInfo,
  LeagueRow,
} from "../api/report";
import { ratio, signed } from "../charts/numbers";
import type { Lang } from "../state/hash";

export type ChangeKind = "none" | "few" | "zero" | "ratio" | "plain" | "points";

/** How a change is told; a group, field or the total has no `info`: it has points. */
export function changeKind(
  change: IndicatorChange | null,
  info: IndicatorInfo | undefined,
): ChangeKind {
  if (change === null || change.value === null || change.difference === null) return "none";
  if (info === undefined || info.type === "index") return "points";
  if (change.ratio !== null) return change.low === null ? "plain" : "ratio";
  if (change.low !== null) return "zero";
  return info.type === "duration" ? "none" : "few";
}

/** Up, down, or not told apart from no change: an interval that leaves out 1 decides. */
export function turned(change: IndicatorChange, kind: ChangeKind): -1 | 0 | 1 {
  if (kind === "ratio" || kind === "zero") {
    if (change.low !== null && change.low > 1) return 1;
    return change.high !== null && change.high < 1 ? -1 : 0;
  }
  return 0;
}

/** 1.12 (1.02–1.24) */
export function ratioText(change: IndicatorChange, lang: Lang): string {
  const high = change.high === null ? "∞" : end(change.high);
  const between = `${end(change.low ?? 0)}–${high}`;
  return lang === "zh"
    ? `${ratio(change.ratio)}（${between}）`
    : `${ratio(change.ratio)} (${between})`;
}

/** End of an interval, with as many decimals as tell it from 1. */
export function end(value: number): string {
  let text = ratio(value);
  for (let digits = 3; value !== 1 && Number(text) === 1 && digits <= 6; digits++) {
    text = value.toFixed(digits);
  }
  return text;
}

export function pointsText(difference: number): string {
  return signed(difference, 1);
}

/** Line through the values that are known, in a box of `width` × `height`, 2 px inside. */
export function sparkline(
  series: readonly (number | null)[],
  width: number,
  height: number,
): { path: string; end: readonly [number, number] | null } {
  const known = series.filter((one): one is number => one !== null);
  if (known.length === 0) return { path: "", end: null };
  const low = Math.min(...known);
  const span = Math.max(...known) - low;
  const x = (index: number) =>
    series.length < 2 ? width - 4 : 4 + (index / (series.length - 1)) * (width - 8);
  const y = (value: number) =>
    span === 0 ? height / 2 : height - 4 - ((value - low) / span) * (height - 8);
  let path = "";
  let pen = "M";
  series.forEach((value, index) => {
    if (value === null) {
      pen = "M";
      return;
    }
    path += `${pen}${x(index).toFixed(1)} ${y(value).toFixed(1)}`;
    pen = "L";
  });
  const last = series.at(-1);
  return {
    path,
    end: last === null || last === undefined ? null : [x(series.length - 1), y(last)],
  };
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** 2025年12月31日 · 2025年12月 · 2025年 / 31 Dec 2025 · Dec 2025 · 2025 */
export function calendarName(by: Calendar, start: string, lang: Lang): string {
  const [year, month, day] = start.split("-").map(Number) as [number, number, number];
  const quarter = Math.floor((month - 1) / 3) + 1;
  if (by === "year") return lang === "zh" ? `${year}年` : String(year);
  if (by === "quarter") return lang === "zh" ? `${year}年第${quarter}季度` : `Q${quarter} ${year}`;
  const named = MONTHS[month - 1];
  if (by === "month") return lang === "zh" ? `${year}年${month}月` : `${named} ${year}`;
  return lang === "zh" ? `${year}年${month}月${day}日` : `${day} ${named} ${year}`;
}

/** Index shown: the wanted one, else the newest complete period, else the newest. */
export function shownOrd(periods: readonly CalendarPeriod[], wanted: number | null): number {
  if (wanted !== null && wanted < periods.length) return wanted;
  const complete = periods.findLastIndex((one) => one.complete);
  return complete >= 0 ? complete : periods.length - 1;
}

/** The period of another length that holds the last day of this one. */
export function sameDay(
  from: CalendarPeriod | undefined,
  to: readonly CalendarPeriod[],
): number | null {
  if (!from) return null;
  const found = to.findIndex((one) => one.start < from.end && from.end <= one.end);
  return found >= 0 ? found : null;
}

export interface LeagueGroup {
  /** Number the server gave; null: no ranks, since counts of 1 to 4 are not shown. */
  group: number | null;
  rows: LeagueRow[];
}

/** Rows in order, cut where the server says units can be told apart. */
export function grouped(rows: readonly LeagueRow[]): LeagueGroup[] {
  const found: LeagueGroup[] = [];
  for (const row of rows) {
    const last = found.at(-1);
    if (last && last.group === row.group) last.rows.push(row);
    else found.push({ group: row.group, rows: [row] });
  }
  return found;
}

/** 3 · 2.5 · – (not shown) */
export function rankText(rank: number | null): string {
  if (rank === null) return "–";
  return Number.isInteger(rank) ? String(rank) : rank.toFixed(1);
}
