import { expect, test } from "vitest";
import type { PeriodInfo } from "../api/models";
import { clampOrd, newest, periodName, sameTime, shortName, tickName } from "./periods";

const period = (start: string, end: string, complete = true): PeriodInfo => ({
  ord: 0,
  start,
  end,
  complete,
});
const YEARS = [
  period("2024-01-01", "2025-01-01", false),
  period("2025-01-01", "2026-01-01"),
  period("2026-01-01", "2027-01-01", false),
];

test("names in both languages", () => {
  expect(periodName("month", "2026-10-01", "zh")).toBe("2026年10月");
  expect(periodName("quarter", "2026-10-01", "zh")).toBe("2026年第4季度");
  expect(periodName("month", "2026-10-01", "en")).toBe("Oct 2026");
  expect(periodName("quarter", "2026-10-01", "en")).toBe("Q4 2026");
  expect(periodName("year", "2026-01-01", "en")).toBe("2026");
  expect(tickName("month", "2026-01-01")).toBe("1");
  expect(shortName("quarter", "2026-04-01")).toBe("2026 Q2");
});

test("the newest complete period is the default", () => {
  expect(newest(YEARS)).toBe(1);
  expect(newest([period("2026-01-01", "2027-01-01", false)])).toBe(0);
  expect(newest([])).toBe(-1);
  expect(clampOrd(YEARS, 99)).toBe(1);
  expect(clampOrd(YEARS, 0)).toBe(0);
});

test("changing the length of the period keeps the time", () => {
  expect(sameTime(period("2026-09-01", "2026-10-01"), YEARS)).toBe(2);
  expect(sameTime(period("2025-12-01", "2026-01-01"), YEARS)).toBe(1);
  expect(sameTime(period("2023-12-01", "2024-01-01"), YEARS)).toBeNull();
  expect(sameTime(undefined, YEARS)).toBeNull();
});
