import { describe, expect, test } from "vitest";
import { bars, dated, type Feed, ordered, rowText, share, span, troubled } from "./health";
import { parse, serialise } from "./state";
import { feedWords } from "./words";

const feed = (name: string, state: Feed["state"], more: Partial<Feed> = {}): Feed => ({
  id: 1,
  pack: "hangzhou",
  name,
  title: "",
  code: "",
  adapter: "folder",
  crs: "wgs84",
  simulated: false,
  state,
  expected_s: null,
  learnt: false,
  last_arrival: null,
  last_origin: null,
  since_s: null,
  lag_s: null,
  looked_at: null,
  failures: 0,
  error: null,
  rows: 0,
  new: 0,
  updated: 0,
  rejected: 0,
  compared: 0,
  mismatch: 0,
  reasons: {},
  dead: 0,
  days: [],
  diagnosis: null,
  ...more,
});

test("what needs somebody comes first", () => {
  const all = [
    feed("a", "fine"),
    feed("b", "late"),
    feed("c", "paused"),
    feed("d", "failing"),
    feed("e", "stopped"),
    feed("f", "new"),
    feed("aa", "late"),
  ];
  expect(ordered(all).map((one) => one.name)).toEqual(["d", "e", "aa", "b", "f", "a", "c"]);
  expect(troubled(all).map((one) => one.name)).toEqual(["d", "e", "aa", "b"]);
  const found = { reading: "gcj02" as const, share: 0.5, reading_share: 0.01, points: 100 };
  expect(troubled([feed("a", "fine", { diagnosis: found })])).toHaveLength(1);
});

test("how long ago something came is counted from the answer", () => {
  const { since_s: _, ...plain } = feed("a", "fine", { last_arrival: "2024-01-01T00:00:00Z" });
  const answer = {
    feeds: [plain, { ...plain, last_arrival: null }],
    as_of: "2024-01-01T00:01:30Z",
  };
  expect(dated(answer).map((one) => one.since_s)).toEqual([90, null]);
});

test("spans in their largest unit", () => {
  const say = feedWords("en");
  expect(
    [0, 59.4, 60, 90, 3600, 9 * 3600 + 1800, 36_000, 86_400, 864_000].map((s) => span(s, say)),
  ).toEqual(["0 s", "59 s", "1 min", "1.5 min", "1 h", "9.5 h", "10 h", "1 d", "10 d"]);
  expect(span(90, feedWords("zh"))).toBe("1.5 分钟");
});

test("shares: no percentage of few", () => {
  expect(share(0, 0)).toBe("—");
  expect(share(0, 50)).toBe("0");
  expect(share(3, 7)).toBe("3/7");
  expect(share(1, 40)).toBe("2.5%");
  expect(share(1, 100_000)).toBe("<0.1%");
});

test("bars fill the height and never vanish", () => {
  const days = [
    { day: "2024-01-01", rows: 0, rejected: 0 },
    { day: "2024-01-02", rows: 1000, rejected: 500 },
    { day: "2024-01-03", rows: 1, rejected: 0 },
    { day: "2024-01-04", rows: 100, rejected: 100 },
  ];
  const made = bars(days, 40, 20);
  expect(made.map((one) => one.x)).toEqual([0, 10, 20, 30]);
  expect(made.map((one) => one.used)).toEqual([0, 10, 1, 0]);
  expect(made.map((one) => one.refused)).toEqual([0, 10, 0, 2]);
  expect(bars([], 40, 20)).toEqual([]);
});

test("a kept row as a line", () => {
  expect(rowText({ ref: "A1", lon: 120.5, lat: null, code: "", at: { time: "2024-05-06" } })).toBe(
    "ref=A1  lon=120.5  at=2024-05-06",
  );
  expect(rowText(null)).toBe("");
});

describe("the link", () => {
  test("there and back", () => {
    for (const link of ["", "#feed=7", "#map=hangzhou&feed=12", "#lang=en&theme=night"]) {
      expect(parse(serialise(parse(link)))).toEqual(parse(link));
    }
    expect(serialise(parse("#feed=7"))).toBe("#feed=7");
  });
  test("what is broken falls back", () => {
    for (const link of ["#feed=0", "#feed=x", "#feed=-1", "#feed=1e3"])
      expect(parse(link).feed).toBe(0);
  });
});

test("both languages have the same keys, English holds no Chinese", () => {
  const keys = (tree: object): string[] =>
    Object.entries(tree).flatMap(([key, value]) =>
      typeof value === "object" ? keys(value).map((one) => `${key}.${one}`) : [key],
    );
  expect(keys(feedWords("en")).sort()).toEqual(keys(feedWords("zh")).sort());
  const texts = (tree: object): string[] =>
    Object.values(tree).flatMap((value) => {
      if (typeof value === "string") return [value];
      if (typeof value === "function") return [String(value("1", "2", "3", "4"))];
      return texts(value);
    });
  for (const text of texts(feedWords("en")))
    expect(text).not.toMatch(/[\u3000-\u9fff\uff00-\uffef]/);
  for (const text of texts(feedWords("zh"))) expect(text).not.toMatch(/[!！]/);
});
