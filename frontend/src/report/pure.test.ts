import { expect, test } from "vitest";
import type { IndicatorChange, IndicatorInfo, LeagueRow } from "../api/report";
import { en } from "./en";
import {
  calendarName,
  changeKind,
  end,
  grouped,
  rankText,
  ratioText,
  sameDay,
  shownOrd,
  sparkline,
  turned,
} from "./numbers";
import { parse, type ReportState, serialise } from "./state";
import { zh } from "./zh";

const change = (patch: Partial<IndicatorChange>): IndicatorChange => ({
  value: 10,
  difference: 2,
  ratio: 1.2,
  low: 0.9,
  high: 1.6,
  ...patch,
});
const info = (type: IndicatorInfo["type"]) => ({ type }) as IndicatorInfo;

test("a change is told by what is known of it", () => {
  expect(changeKind(null, info("rate"))).toBe("none");
  expect(changeKind(change({ difference: null }), info("rate"))).toBe("none");
  expect(changeKind(change({}), info("rate"))).toBe("ratio");
  expect(changeKind(change({ low: null, high: null }), info("duration"))).toBe("plain");
  expect(changeKind(change({ ratio: null, low: null, high: null }), info("count"))).toBe("few");
  expect(changeKind(change({ ratio: null, low: null, high: null }), info("duration"))).toBe("none");
  expect(changeKind(change({ ratio: null, low: 1.4, high: null }), info("count"))).toBe("zero");
  expect(changeKind(change({ ratio: null }), undefined)).toBe("points");
  expect(changeKind(change({ ratio: null }), info("index"))).toBe("points");
});

test("an arrow stands only where the interval leaves out 1", () => {
  expect(turned(change({ low: 1.01 }), "ratio")).toBe(1);
  expect(turned(change({ low: 0.5, high: 0.99 }), "ratio")).toBe(-1);
  expect(turned(change({}), "ratio")).toBe(0);
  expect(turned(change({ low: 1, high: 2 }), "ratio")).toBe(0);
  expect(turned(change({ low: 2 }), "plain")).toBe(0);
});

test("an end of an interval is never printed as 1 when it is not", () => {
  expect(end(1)).toBe("1.00");
  expect(end(1.0004)).toBe("1.0004");
  expect(end(0.996)).toBe("0.996");
  expect(ratioText(change({ low: 1.001, high: null }), "zh")).toBe("1.20（1.001–∞）");
  expect(ratioText(change({}), "en")).toBe("1.20 (0.90–1.60)");
});

test("a sparkline breaks where nothing is known and ends where this period is", () => {
  expect(sparkline([], 96, 24)).toEqual({ path: "", end: null });
  const made = sparkline([1, null, 3, 2], 96, 24);
  expect(made.path.match(/M/g)).toHaveLength(2);
  expect(made.end).toEqual([92, 12]);
  expect(sparkline([1, 2, null], 96, 24).end).toBeNull();
  expect(sparkline([5, 5], 96, 24).end).toEqual([92, 12]);
});

test("periods by name", () => {
  expect(calendarName("day", "2025-12-31", "zh")).toBe("2025年12月31日");
  expect(calendarName("day", "2025-12-01", "en")).toBe("1 Dec 2025");
  expect(calendarName("month", "2025-12-01", "en")).toBe("Dec 2025");
  expect(calendarName("quarter", "2025-10-01", "zh")).toBe("2025年第4季度");
  expect(calendarName("year", "2025-01-01", "zh")).toBe("2025年");
});

test("the newest complete period, and the same day in another length", () => {
  const days = [1, 2, 3].map((n) => ({
    ord: n - 1,
    start: `2025-12-0${n}`,
    end: `2025-12-0${n + 1}`,
    complete: n < 3,
  }));
  const months = [{ ord: 0, start: "2025-12-01", end: "2026-01-01", complete: true }];
  expect(shownOrd(days, null)).toBe(1);
  expect(shownOrd(days, 0)).toBe(0);
  expect(shownOrd(days, 99)).toBe(1);
  expect(sameDay(days[2], months)).toBe(0);
  expect(sameDay(months[0], days)).toBeNull();
});

test("a league is cut where the server cuts it", () => {
  const rows = [1, 1, 2, 1].map((group, at) => ({ group, code: String(at) })) as LeagueRow[];
  expect(grouped(rows).map((one) => one.rows.length)).toEqual([2, 1, 1]);
  expect(grouped([])).toEqual([]);
  expect([rankText(3), rankText(2.5)]).toEqual(["3", "2.5"]);
});

test("the link brings everything back; broken parts fall back", () => {
  const state: ReportState = {
    ...parse(""),
    scope: "330110",
    level: "town",
    by: "day",
    ord: 7,
    ind: "civil_rate",
    pane: "league",
    scene: "safety-report",
    lang: "en",
  };
  expect(parse(serialise(state))).toEqual(state);
  expect(serialise(parse(""))).toBe("");
  const broken = parse("#by=week&ind=%3Cscript&pane=x&scene=../etc&ord=-1");
  expect(broken).toEqual(parse(""));
});

test("both languages have the same words", () => {
  const keys = (tree: object): string[] =>
    Object.entries(tree).flatMap(([key, value]) =>
      typeof value === "object" ? keys(value).map((one) => `${key}.${one}`) : [key],
    );
  expect(keys(en).sort()).toEqual(keys(zh).sort());
  const spoken = (value: unknown): string[] =>
    typeof value === "function"
      ? [String(value("1", "2", "3"))]
      : typeof value === "object" && value
        ? Object.values(value).flatMap(spoken)
        : [String(value)];
  for (const one of spoken(en)) expect(one).not.toMatch(/[\u3000-\u9fff\uff00-\uffef]/);
  for (const one of spoken(zh)) expect(one).not.toMatch(/[!！]/);
});
