import type { Feature, Polygon } from "geojson";
import type { StyleSpecification } from "maplibre-gl";
import { expect, test } from "vitest";
import { bodyOf } from "../api/analysis";
import type { LevelInfo } from "../api/models";
import { withOverlays } from "../command/overlays";
import { nearestBorder } from "../draw/guides";
import { readable } from "./ask";
import { ownShape } from "./bodies";
import { axisOf, figureOf, greyOf, monthRows, roomOf, stepsOf, ticksOf } from "./charts";
import { en } from "./en";
import { drawnShapes, outerSides } from "./outline";
import { seen } from "./seen";
import { zh } from "./zh";

type Tree = Record<string, unknown>;

function keys(tree: Tree, path = ""): string[] {
  return Object.entries(tree).flatMap(([key, value]) =>
    typeof value === "object" && value !== null
      ? keys(value as Tree, `${path}.${key}`)
      : [`${path}.${key}`],
  );
}

function texts(tree: Tree): string[] {
  return Object.values(tree).flatMap((value) => {
    if (typeof value === "string") return [value];
    if (typeof value === "function")
      return [String((value as (...a: string[]) => string)("1", "2", "3"))];
    return texts(value as Tree);
  });
}

test("both languages have the same words; English holds no Chinese, nobody shouts", () => {
  expect(keys(en as unknown as Tree).sort()).toEqual(keys(zh as unknown as Tree).sort());
  for (const text of texts(en as unknown as Tree))
    expect(text).not.toMatch(/[\u3000-\u9fff\uff00-\uffef]/);
  for (const text of texts(zh as unknown as Tree)) expect(text).not.toMatch(/[!！]/);
});

test("one axis holds every interval, in whole steps of two", () => {
  const row = (low: number | null, high: number | null) => ({ low, high, relative_risk: low });
  expect(axisOf([])).toEqual({ low: 0.5, high: 2 });
  expect(axisOf([row(0.8, 1.3), row(null, null)])).toEqual({ low: 0.5, high: 2 });
  expect(axisOf([row(0.3, 3)])).toEqual({ low: 0.25, high: 4 });
  expect(axisOf([row(0.001, 900)])).toEqual({ low: 0.125, high: 8 });
  expect(ticksOf({ low: 0.25, high: 4 }).map((one) => one.text)).toEqual(["¼", "½", "1", "2", "4"]);
});

test("seven greys: none, a little, most", () => {
  expect([0, 1, 3, 6, 12].map((n) => greyOf(n, 12))).toEqual([0, 1, 2, 3, 6]);
  expect(greyOf(0, 0)).toBe(0);
  expect([7, 99, 100, 999, 1000].map((n) => figureOf(n))).toEqual([
    { text: "7", tight: false },
    { text: "99", tight: false },
    { text: "100", tight: true },
    { text: "999", tight: true },
    { text: "", tight: true },
  ]);
  expect(stepsOf(700)).toEqual([0, 250, 500]);
  expect(stepsOf(3)).toEqual([0, 1, 2, 3]);
  // short numbers keep the room they have, long ones get more
  expect(roomOf([0, 250, 500], 34, 12)).toBe(34.5);
  expect(roomOf([0, 5], 34, 12)).toBe(34);
  expect(roomOf([0, 2000], 34, 12)).toBe(12 + 5 * 7.5);
});

test("months beside those of the year before; a hidden count is a gap, a month without events is 0", () => {
  const rows = monthRows(
    { from: "2025-11-01", to: "2026-02-01" },
    { dates: ["2025-11-01", "2026-01-01"], counts: [7, null] },
    { dates: ["2024-11-01"], counts: [5] },
    new Map([["2025-12-01", 4.5]]),
  );
  expect(rows).toEqual([
    { month: "2025-11-01", now: 7, before: 5, expected: null },
    { month: "2025-12-01", now: 0, before: 0, expected: 4.5 },
    { month: "2026-01-01", now: null, before: 0, expected: null },
  ]);
});

const cell = (x: number, y: number): Polygon => ({
  type: "Polygon",
  coordinates: [
    [
      [x, y],
      [x + 1, y],
      [x + 1, y + 1],
      [x, y + 1],
      [x, y],
    ],
  ],
});

test("a side two cells share is not drawn", () => {
  expect(outerSides([cell(0, 0)])).toHaveLength(4);
  expect(outerSides([cell(0, 0), cell(1, 0)])).toHaveLength(6);
  expect(outerSides([cell(0, 0), cell(1, 0), cell(0, 1), cell(1, 1)])).toHaveLength(8);
});

test("what of a result is drawn", () => {
  const one = (properties: Tree, x = 0): Feature => ({
    type: "Feature",
    geometry: cell(x, 0),
    properties,
  });
  const marks = (type: string, features: Feature[], category = "") =>
    drawnShapes(type, { type: "FeatureCollection", features }, category).features.map(
      (each) => each.properties?.mark,
    );
  expect(
    marks("gi", [one({ found: "hot" }), one({ found: "none" }, 2), one({ found: "cold" }, 4)]),
  ).toEqual(["hot", "line", "cold"]);
  const emerging = [
    one({ found: "hot", category: "new" }),
    one({ found: "hot", category: "sporadic" }, 3),
  ];
  expect(marks("emerging", emerging, "hot: new")).toEqual(["hot", "line"]);
  expect(marks("emerging", emerging, "cold: new")).toEqual([]);
  expect(marks("forecast", [one({ chosen: false })])).toEqual([]);
  expect(
    marks("scan", [one({ significant: true, rank: 1 }), one({ significant: false, rank: 2 })]),
  ).toEqual(["cluster", "cold"]);
  expect(marks("knox", [one({})])).toEqual([]);
});

test("shapes come back from the bodies they were asked with", () => {
  for (const shape of [
    { kind: "circle", centre: [120.1, 30.2], metres: 500 },
    {
      kind: "corridor",
      line: [
        [120.1, 30.2],
        [120.2, 30.3],
      ],
      metres: 80,
    },
    { kind: "units", codes: ["330108"] },
    {
      kind: "polygon",
      parts: [
        [
          [
            [0, 0],
            [1, 0],
            [1, 1],
            [0, 0],
          ],
        ],
      ],
    },
  ] as const) {
    expect(ownShape(bodyOf(shape as never))).toEqual(shape);
  }
  expect(ownShape({ wkt: "POLYGON EMPTY" })).toBeNull();
  expect(ownShape({ circle: { lon: 1, lat: 2, metres: 3 }, crs: "gcj02" })).toBeNull();
});

test("the nearest border: a corner within reach beats a nearer side", () => {
  const line = {
    type: "LineString" as const,
    coordinates: [
      [0, 0],
      [10, 0],
    ],
  };
  const away = (at: readonly [number, number]) => (place: readonly number[]) =>
    Math.hypot((place[0] as number) - at[0], (place[1] as number) - at[1]);
  expect(nearestBorder([5, 1], [line], away([5, 1]), 2)).toEqual([5, 0]);
  expect(nearestBorder([1.5, 1], [line], away([1.5, 1]), 2)).toEqual([0, 0]);
  expect(nearestBorder([5, 3], [line], away([5, 3]), 2)).toBeNull();
});

test("the finest level that can be read", () => {
  const levels = [
    { id: "county", count: 13 },
    { id: "town", count: 200 },
    { id: "village", count: 3200 },
    { id: "grid", count: 15000 },
  ] as LevelInfo[];
  const bounds = [118.3, 29.2, 120.9, 30.6] as const;
  const at = (zoom: number) => readable(levels, bounds, zoom).id;
  expect([6, 8, 10, 11].map(at)).toEqual(["county", "town", "village", "grid"]);
});

test("overlays survive a new style, under the names or above all", () => {
  const layer = (id: string, type = "fill") => ({ id, type, source: "s" });
  const style = (layers: object[], sources: object = {}) =>
    ({ version: 8, sources, layers }) as unknown as StyleSpecification;
  const before = style(
    [
      layer("land"),
      layer("under-veil"),
      layer("names", "symbol"),
      layer("over-line"),
      layer("td-point"),
    ],
    { s: {}, "over-areas": { type: "geojson" }, old: {} },
  );
  const next = style([layer("land"), layer("fill"), layer("names", "symbol")], { s: {} });
  const made = withOverlays(before, next);
  expect(made.layers.map((one) => one.id)).toEqual([
    "land",
    "fill",
    "under-veil",
    "names",
    "over-line",
    "td-point",
  ]);
  expect(Object.keys(made.sources)).toEqual(["s", "over-areas"]);
  expect(withOverlays(undefined, next)).toBe(next);
});

test("counts as they may be shown", () => {
  expect(["1234", "<5", "—"].map(seen)).toEqual(["1,234", "<5", "—"]);
});
