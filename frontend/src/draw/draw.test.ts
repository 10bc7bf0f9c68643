import { expect, test } from "vitest";
import { decodeArea, decodeShape, encodeArea, encodeShape, settled } from "./encode";
import { readPasted } from "./paste";
import {
  boxOf,
  circleRing,
  contains,
  corridorRings,
  distance,
  faultOf,
  type Position,
  type Ring,
  type Shape,
  simplified,
  squareKilometres,
} from "./shapes";

const square: Ring = [
  [120, 30],
  [120.1, 30],
  [120.1, 30.1],
  [120, 30.1],
  [120, 30],
];
const hole: Ring = [
  [120.04, 30.04],
  [120.04, 30.06],
  [120.06, 30.06],
  [120.06, 30.04],
  [120.04, 30.04],
];

const SHAPES: Shape[] = [
  { kind: "polygon", parts: [[square, hole], [circleRing([121.5, 29.25], 900, 12)]] },
  {
    kind: "polygon",
    parts: [
      [
        [
          [-179.999999, -89.5],
          [0, 0],
          [179.999999, 89.5],
          [-179.999999, -89.5],
        ],
      ],
    ],
  },
  { kind: "circle", centre: [120.1551234, 30.2744444], metres: 1234.56 },
  {
    kind: "corridor",
    line: [
      [120.1, 30.2],
      [120.2, 30.25],
      [120.15, 30.3],
    ],
    metres: 250,
  },
  { kind: "units", codes: ["330108", "a.b*c/d ü"] },
];

test("a link brings back the very same shape", () => {
  for (const shape of SHAPES) {
    const once = settled(shape);
    const back = decodeShape(encodeShape(once));
    expect(back).toEqual(once);
    expect(encodeShape(back as Shape)).toBe(encodeShape(shape));
    const area = { name: "四季青 A", shape: once };
    const parts = new URLSearchParams();
    parts.append("a", encodeArea(area));
    expect(decodeArea(new URLSearchParams(parts.toString()).get("a") as string)).toEqual(area);
  }
});

test("random rings survive", () => {
  let seed = 7;
  const random = () => {
    seed = (seed * 16807) % 2147483647;
    return seed / 2147483647;
  };
  for (let turn = 0; turn < 200; turn++) {
    const open = Array.from({ length: 3 + Math.floor(random() * 40) }, () => [
      random() * 360 - 180,
      random() * 180 - 90,
    ]) as Ring;
    const shape = settled({ kind: "polygon", parts: [[[...open, open[0] as Position]]] });
    expect(decodeShape(encodeShape(shape))).toEqual(shape);
  }
});

test("broken text is no shape", () => {
  for (const text of [
    "",
    "p",
    "q123",
    "pA",
    "pAAAA",
    "c!",
    "cAAA",
    "lA",
    "u%E0%A4%A",
    "p_______________",
  ]) {
    expect(decodeShape(text), text).toBeNull();
  }
  expect(decodeArea("no star")).toBeNull();
});

test("lengths and areas", () => {
  expect(distance([120, 30], [120, 31])).toBeCloseTo(111_195, 0);
  const ring = circleRing([120, 30], 1000);
  for (const place of ring) expect(distance([120, 30], place)).toBeCloseTo(1000, 3);
  // 96 corners are 0.07 % short of a circle
  expect(squareKilometres([[ring]]) / Math.PI).toBeCloseTo(1, 2);
  expect(squareKilometres([[square, hole]])).toBeCloseTo(
    squareKilometres([[square]]) - squareKilometres([[hole]]),
    9,
  );
  expect(boxOf([[square]])).toEqual([120, 30, 120.1, 30.1]);
  expect(boxOf([])).toBeNull();
});

test("inside, in a hole, outside", () => {
  expect(contains([[square, hole]], [120.01, 30.01])).toBe(true);
  expect(contains([[square, hole]], [120.05, 30.05])).toBe(false);
  expect(contains([[square, hole]], [120.2, 30.05])).toBe(false);
});

test("a corridor keeps its distance", () => {
  const [ring] = corridorRings(
    [
      [120, 30],
      [120.02, 30.01],
    ],
    300,
  );
  const ends: Position[] = [
    [120, 30],
    [120.02, 30.01],
  ];
  for (const place of ring as Ring) {
    const near = Math.min(...ends.map((one) => distance(one, place)));
    expect(near).toBeGreaterThan(298);
  }
});

test("what is wrong with a ring, and where", () => {
  expect(faultOf(square)).toBeNull();
  const bow: Ring = [
    [0, 0],
    [2, 2],
    [2, 0],
    [0, 2],
    [0, 0],
  ];
  expect(faultOf(bow)).toEqual({ reason: "crossing", at: [1, 1] });
  expect(
    faultOf([
      [0, 0],
      [1, 1],
      [0, 0],
    ])?.reason,
  ).toBe("too_few");
  expect(
    faultOf([
      [0, 0],
      [0, 1],
      [0, 2],
      [0, 0],
    ])?.reason,
  ).toBe("zero_area");
});

test("fewer corners, none far away", () => {
  const ring = circleRing([120, 30], 1000, 400);
  const less = simplified(ring, 5);
  expect(less.length).toBeLessThan(60);
  expect(less[0]).toEqual(less.at(-1));
  expect(squareKilometres([[less]]) / squareKilometres([[ring]])).toBeGreaterThan(0.99);
});

test("pasted text", () => {
  const wkt = "POLYGON((0 0, 1 0, 1 1, 0 0))";
  expect(readPasted(` ${wkt}\n`)).toEqual({ wkt });
  expect(readPasted("")).toEqual({ error: "empty" });
  expect(readPasted("120.1, 30.2")).toEqual({ circle: [120.1, 30.2] });
  expect(readPasted("120.1,30.2；120.2,30.2；120.2,30.3")).toEqual({
    geojson: {
      type: "Polygon",
      coordinates: [
        [
          [120.1, 30.2],
          [120.2, 30.2],
          [120.2, 30.3],
          [120.1, 30.2],
        ],
      ],
    },
  });
  expect(readPasted("120.1 30.2\n120.2 30.2")).toEqual({ error: "too_few" });
  expect(readPasted("here and there")).toMatchObject({ error: "not_read" });
  expect(readPasted("1 2 3")).toMatchObject({ error: "not_read", place: "3" });
  expect(readPasted('{"type":"Point","coordinates":[1,2]}')).toEqual({ error: "not_read" });
  const polygon = { type: "Polygon", coordinates: [square] };
  const feature = { type: "Feature", properties: {}, geometry: polygon };
  expect(readPasted(JSON.stringify(feature))).toEqual({ geojson: polygon });
  expect(
    readPasted(JSON.stringify({ type: "FeatureCollection", features: [feature, feature] })),
  ).toEqual({
    geojson: { type: "MultiPolygon", coordinates: [[square], [square]] },
  });
});
