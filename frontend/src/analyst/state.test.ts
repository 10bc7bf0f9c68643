import { expect, test } from "vitest";
import type { PeriodInfo } from "../api/models";
import { settled } from "../draw/encode";
import { circleRing } from "../draw/shapes";
import { addMonths, daysBetween, monthsOf, presetSpan, SPANS, spanText, yearBefore } from "./days";
import { PRESETS, packHours, presetOf, unpackHours } from "./hours";
import { type AnalystState, parse, serialise } from "./state";

const FULL: AnalystState = {
  ...parse(""),
  map: "hangzhou",
  camera: [120.1, 30.2, 11.5],
  lang: "en",
  areas: [
    {
      name: "四季青 & co",
      shape: settled({ kind: "polygon", parts: [[circleRing([120, 30], 500, 9)]] }),
    },
    { name: "", shape: { kind: "circle", centre: [120.2, 30.3], metres: 800 } },
  ],
  active: 1,
  kinds: ["theft", "fraud"],
  from: "2026-03-01",
  to: "2026-11-01",
  hours: [0, 5, 167],
  by: ["point"],
  weights: "area",
  tab: "patterns",
  vs: "a0",
  job: "a1b2",
};

test("the link brings back the question", () => {
  expect(parse(serialise(FULL))).toEqual(FULL);
  expect(serialise(parse(""))).toBe("");
  const span = { ...FULL, vs: "2025-03-01_2025-11-01" };
  expect(parse(serialise(span))).toEqual(span);
});

test("broken parts fall back", () => {
  const state = parse(
    "#a=x*pqq&n=7&span=2026-02-30_2026-03-01&hours=zz&by=guess&w=guess&tab=no&vs=a3&job=../x&kinds=a b.theft",
  );
  expect(state).toEqual({ ...parse(""), kinds: ["theft"] });
  expect(parse("#span=2026-03-01_2026-03-01").from).toBe("");
});

test("an area too large for a link is left out of it, the others stay", () => {
  const huge = {
    name: "",
    shape: settled({ kind: "polygon" as const, parts: [[circleRing([120, 30], 5000, 3000)]] }),
  };
  const back = parse(serialise({ ...FULL, areas: [huge, ...FULL.areas], active: 2 }));
  expect(back.areas).toEqual(FULL.areas);
  expect(back.active).toBe(1);
});

test("hours of the week", () => {
  for (const [name, hours] of Object.entries(PRESETS)) {
    expect(unpackHours(packHours(hours))).toEqual(hours);
    expect(presetOf(hours)).toBe(name);
  }
  expect(PRESETS.night).toHaveLength(84);
  expect(presetOf([3])).toBeNull();
  expect(unpackHours("?".repeat(28))).toEqual([]);
});

const months: PeriodInfo[] = [9, 10, 11].map((month) => ({
  start: `2026-${String(month).padStart(2, "0")}-01`,
  end: `2026-${String(month + 1).padStart(2, "0")}-01`,
  complete: month < 11,
})) as PeriodInfo[];

test("spans end with the newest complete month", () => {
  const spans = Object.fromEntries(SPANS.map((one) => [one, presetSpan(one, months)]));
  expect(spans).toEqual({
    month: { from: "2026-10-01", to: "2026-11-01" },
    quarter: { from: "2026-08-01", to: "2026-11-01" },
    half: { from: "2026-05-01", to: "2026-11-01" },
    year: { from: "2026-01-01", to: "2026-11-01" },
    lastYear: { from: "2025-01-01", to: "2026-01-01" },
    twelve: { from: "2025-11-01", to: "2026-11-01" },
  });
});

test("days and months", () => {
  expect(addMonths("2024-02-29", 12)).toBe("2025-02-28");
  expect(addMonths("2026-01-31", -2)).toBe("2025-11-30");
  expect(yearBefore({ from: "2026-03-01", to: "2026-11-01" })).toEqual({
    from: "2025-03-01",
    to: "2025-11-01",
  });
  expect(monthsOf({ from: "2025-11-15", to: "2026-02-01" })).toEqual([
    "2025-11-01",
    "2025-12-01",
    "2026-01-01",
  ]);
  expect(daysBetween({ from: "2024-02-01", to: "2024-03-01" })).toBe(29);
  expect(spanText({ from: "2026-03-01", to: "2026-11-01" })).toBe("2026-03-01 → 10-31");
  expect(spanText({ from: "2025-11-01", to: "2026-11-01" })).toBe("2025-11-01 → 2026-10-31");
});
