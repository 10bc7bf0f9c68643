import { expect, test } from "vitest";
import { crosses, emptiest, overlaps, placeCallouts, type Rect } from "./callouts";
import { densestWindow, neighbour, type Place } from "./neighbours";
import { scaleOf } from "./scale.view";

const at = (id: number, x: number, y: number): Place => ({
  id,
  code: String(id),
  name: "",
  point: [x, y],
});
const CROSS = [at(1, 0, 0.1), at(2, 0.1, 0), at(3, 0, -0.1), at(4, -0.1, 0), at(5, 0.01, 0.3)];

test("each arrow finds the unit on its side", () => {
  const go = (direction: "up" | "down" | "left" | "right") =>
    neighbour(CROSS, [0, 0], direction)?.id;
  expect([go("up"), go("right"), go("down"), go("left")]).toEqual([1, 2, 3, 4]);
});

test("straight ahead wins over slightly nearer aside; nothing behind", () => {
  expect(neighbour([at(1, 0, 1), at(2, 0.7, 0.6)], [0, 0], "up")?.id).toBe(1);
  expect(neighbour([at(1, 0, -1)], [0, 0], "up")).toBeNull();
  expect(neighbour([at(1, 0, 0)], [0, 0], "up")).toBeNull();
});

test("the dense core is where the points are", () => {
  const dense = Array.from(
    { length: 30 },
    (_, i) => [5 + (i % 6) * 0.01, 5 + Math.floor(i / 6) * 0.01] as const,
  );
  const box = densestWindow([[0, 0], [9, 9], ...dense], 0.2, 0.2);
  expect(box?.[0]).toBeGreaterThan(4.8);
  expect(box?.[2]).toBeLessThan(5.2);
  expect(densestWindow([], 1, 1)).toBeNull();
});

test("call-outs stand apart and their leaders do not cross", () => {
  const free: Rect[] = [];
  for (let x = 0; x < 1000; x += 50)
    for (const y of [0, 60, 700]) free.push({ x, y, width: 200, height: 50 });
  const anchors = [300, 400, 500, 600, 700].map((x, i) => ({
    code: String(i),
    x,
    y: 300 + 40 * i,
  }));
  const placed = placeCallouts(anchors, free, [{ x: 800, y: 600, width: 200, height: 200 }], 4);
  expect(placed).toHaveLength(4);
  placed.forEach((a, i) => {
    placed.slice(i + 1).forEach((b) => {
      expect(overlaps(a.box, b.box)).toBe(false);
      expect(crosses(a.from, a, b.from, b)).toBe(false);
    });
  });
});

test("the emptiest rectangle is chosen", () => {
  const left = { x: 0, y: 0, width: 10, height: 10 };
  const right = { x: 90, y: 0, width: 10, height: 10 };
  expect(emptiest([left, right], (x) => x < 50)).toEqual({ rect: right, share: 0 });
});

test("the scale bar is round and fits", () => {
  for (const zoom of [5, 8.3, 11, 15]) {
    const { metres, px } = scaleOf(30, zoom, 90);
    expect(px).toBeLessThanOrEqual(90);
    expect(px).toBeGreaterThan(30);
    expect(String(metres)).toMatch(/^[125]0*$/);
  }
});
