import { expect, test } from "vitest";
import type { Colour, Why } from "../api/models";
import {
  count,
  expectedCount,
  linear,
  logarithmic,
  measured,
  percent,
  probability,
  ratio,
  roundToSum,
  signed,
} from "./numbers";
import { waterfall } from "./waterfall";

/** Small deterministic generator (mulberry32), so that the property test is the same each time. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

test("exposures keep a decimal only where they are no count", () => {
  expect([80517, 4.62, 153.4, null].map(measured)).toEqual(["80,517", "4.6", "153", "—"]);
});

test("numbers as text", () => {
  expect(count(12345)).toBe("12,345");
  expect(count(null)).toBe("—");
  expect(expectedCount(7.66)).toBe("7.7");
  expect(expectedCount(198.4)).toBe("198");
  expect(ratio(2.034)).toBe("2.03");
  expect(ratio(12.34)).toBe("12.3");
  expect(percent(0.1384)).toBe("13.8%");
  expect([0.999, 0.001, 0.87].map(probability)).toEqual(["> .99", "< .01", "= .87"]);
  expect([0.881, -0.04, 0.001, -0.001].map((one) => signed(one))).toEqual([
    "+0.88",
    "−0.04",
    "0.00",
    "0.00",
  ]);
});

test("axes keep their ends", () => {
  expect([-5, 0, 5, 10, 20].map(linear(0, 10, 100, 200))).toEqual([100, 100, 150, 200, 200]);
  const log = logarithmic(0.5, 2, 0, 60);
  expect(log(1)).toBeCloseTo(30);
  expect([0, -1, 9].map(log)).toEqual([0, 0, 60]);
});

test("rounded parts add up to the printed total and stay within one unit", () => {
  const next = random(7);
  for (let turn = 0; turn < 500; turn++) {
    const parts = Array.from({ length: 1 + Math.floor(next() * 9) }, () => (next() - 0.4) * 2);
    const total = Number(parts.reduce((sum, one) => sum + one, 0).toFixed(2));
    const printed = roundToSum(parts, total);
    expect(printed.reduce((sum, one) => sum + one, 0)).toBeCloseTo(total, 9);
    for (const [i, one] of printed.entries()) {
      expect(Math.abs(one - (parts[i] as number))).toBeLessThan(0.0151);
    }
  }
});

function why(values: number[], extra: Partial<Why> = {}): Why {
  const theta = 1 + values.reduce((sum, one) => sum + one, 0);
  return {
    estimate: { theta, low: theta * 0.8, high: theta * 1.2, p: 0.9 },
    contributions: values.map((value, i) => ({
      kind: `k${i}`,
      value,
      observed: 1,
      expected: 1,
      colour: "blue" as Colour,
    })),
    ...extra,
  } as Why;
}

test("waterfall: four kinds and a rest, printed parts add up", () => {
  const next = random(11);
  for (let turn = 0; turn < 200; turn++) {
    const data = waterfall(why(Array.from({ length: 9 }, () => (next() - 0.4) * 0.5)), 4);
    expect(data?.steps.map((step) => step.id).at(-1)).toBe("rest");
    expect(data?.steps).toHaveLength(5);
    const printed = data?.steps.reduce((sum, step) => sum + step.printed, 1) ?? 0;
    expect(printed).toBeCloseTo(Number((data?.theta ?? 0).toFixed(2)), 9);
    expect(data?.steps.at(-1)?.to).toBeCloseTo(data?.theta ?? 0, 9);
  }
});

test("waterfall: all kinds on request, none without an estimate", () => {
  expect(waterfall(why([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]), 99)?.steps).toHaveLength(7);
  expect(waterfall(why([], { estimate: null }), 4)).toBeNull();
});

test("waterfall of one kind: this period and what is remembered (METHODS 3, unit 4)", () => {
  const data = waterfall(
    why([], {
      observed: 25,
      expected: 7.66667,
      alpha: 2.87,
      remembered_observed: 0.8,
      remembered_expected: 0.4,
      colour: "red",
      estimate: { theta: 2.60632, low: 1.7, high: 3.6, p: 0.99999 },
    }),
    4,
  );
  expect(data?.steps.map((step) => step.id)).toEqual(["period", "memory"]);
  expect(data?.steps[0]?.to).toBeCloseTo(1 + (25 - 7.66667) / (2.87 + 0.4 + 7.66667), 6);
  expect(data?.steps[1]?.to).toBeCloseTo(2.60632, 9);
});
