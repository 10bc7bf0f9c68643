import { expect, test } from "vitest";
import { doubts, heardAnswer, staleSince } from "./server";

const SINCE = "2026-01-02T03:04:05+00:00";

test("the first stale answer is noticed, and only a fresh manifest ends it", () => {
  heardAnswer("/api/runs/1/summary", 200, SINCE);
  expect(staleSince()).toBe(SINCE);
  heardAnswer("/api/runs/1/values/grid/theft/month/5", 200, null);
  heardAnswer("/api/manifest", 503, null);
  heardAnswer("/api/manifest", 200, SINCE);
  expect(staleSince()).toBe(SINCE);
  heardAnswer("/api/manifest", 200, null);
  expect(staleSince()).toBeUndefined();
});

test("an answer that did not come is a reason to ask, a refused one is not", () => {
  const before = doubts();
  heardAnswer("/api/runs/1/summary", 0, null);
  heardAnswer("/api/runs/1/summary", 503, null);
  heardAnswer("/api/runs/1/summary", 404, null);
  heardAnswer("/api/runs/1/summary", 500, null);
  heardAnswer("/api/manifest", 0, null);
  expect(doubts()).toBe(before + 2);
  expect(staleSince()).toBeUndefined();
});
