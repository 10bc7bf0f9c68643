/** Where notes may stand on a wall map: outside the city, apart from each other, leaders not crossing. Pure, px. */

export interface Rect {
  x: number;
  y: number;
  width: number;
  height: number;
}

export interface Anchor {
  code: string;
  x: number;
  y: number;
}

export interface Placed extends Anchor {
  box: Rect;
  /** Where the leader leaves the box. */
  from: { x: number; y: number };
}

export function overlaps(a: Rect, b: Rect): boolean {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}

interface Point {
  x: number;
  y: number;
}

function side(a: Point, b: Point, c: Point): number {
  return Math.sign((b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x));
}

export function crosses(a: Point, b: Point, c: Point, d: Point): boolean {
  return side(a, b, c) !== side(a, b, d) && side(c, d, a) !== side(c, d, b);
}

/** The point of a box's lower or upper edge nearest to an anchor, a little inside its ends. */
function leave(box: Rect, anchor: Point): Point {
  const x = Math.min(Math.max(anchor.x, box.x + 12), box.x + box.width - 12);
  const below = anchor.y > box.y + box.height / 2;
  return { x, y: below ? box.y + box.height + 4 : box.y - 4 };
}

/**
 * Give each anchor the nearest free box, in order; an anchor without one gets none.
 *
 * `free` are the boxes that touch neither the city nor the frame; `taken` what already stands there.
 */
export function placeCallouts(
  anchors: readonly Anchor[],
  free: readonly Rect[],
  taken: readonly Rect[],
  most: number,
): Placed[] {
  const placed: Placed[] = [];
  const used = [...taken];
  for (const anchor of anchors) {
    if (placed.length >= most) break;
    const options = free
      .filter((box) => !used.some((one) => overlaps(grow(box, 10), one)))
      .map((box) => ({ box, from: leave(box, anchor) }))
      .filter(({ from }) => !placed.some((one) => crosses(from, anchor, one.from, one)))
      .filter(({ from }) => !used.some((one) => hits(one, from, anchor)))
      .map((one) => ({ ...one, cost: Math.hypot(one.from.x - anchor.x, one.from.y - anchor.y) }))
      .sort((a, b) => a.cost - b.cost);
    const best = options[0];
    if (!best) continue;
    placed.push({ ...anchor, box: best.box, from: best.from });
    used.push(best.box);
  }
  return placed;
}

export function grow(box: Rect, by: number): Rect {
  return { x: box.x - by, y: box.y - by, width: box.width + 2 * by, height: box.height + 2 * by };
}

function hits(box: Rect, a: Point, b: Point): boolean {
  const corners = [
    { x: box.x, y: box.y },
    { x: box.x + box.width, y: box.y },
    { x: box.x + box.width, y: box.y + box.height },
    { x: box.x, y: box.y + box.height },
  ] as const;
  return corners.some((corner, i) => crosses(a, b, corner, corners[(i + 1) % 4] as Point));
}

/** Points of a grid over a rectangle, ends included. */
export function gridOf(rect: Rect, columns: number, rows: number): [number, number][] {
  const out: [number, number][] = [];
  for (let j = 0; j < rows; j++) {
    for (let i = 0; i < columns; i++) {
      out.push([
        rect.x + (rect.width * i) / Math.max(1, columns - 1),
        rect.y + (rect.height * j) / Math.max(1, rows - 1),
      ]);
    }
  }
  return out;
}

/** The rectangle that covers least: fewest grid points answered `true` by `covered`. */
export function emptiest(
  rects: readonly Rect[],
  covered: (x: number, y: number) => boolean,
): { rect: Rect; share: number } | null {
  let best: { rect: Rect; share: number } | null = null;
  for (const rect of rects) {
    const points = gridOf(rect, 7, 6);
    const share = points.filter(([x, y]) => covered(x, y)).length / points.length;
    if (!best || share < best.share) best = { rect, share };
  }
  return best;
}
