/** Which unit lies next in a direction, and where the units stand densest. Pure, degrees, x east y north. */

export interface Place {
  id: number;
  code: string;
  name: string;
  point: readonly [longitude: number, latitude: number];
}

export type Direction = "up" | "down" | "left" | "right";

const AHEAD: Record<Direction, readonly [number, number]> = {
  up: [0, 1],
  down: [0, -1],
  left: [-1, 0],
  right: [1, 0],
};

/**
 * The nearest place within 60° of the direction; distance grows with the angle, so that the one straight
 * ahead wins over a slightly nearer one aside. Null: none.
 */
export function neighbour(
  places: readonly Place[],
  from: readonly [number, number],
  direction: Direction,
): Place | null {
  const [ax, ay] = AHEAD[direction];
  const shrink = Math.cos((from[1] * Math.PI) / 180);
  let best: Place | null = null;
  let least = Number.POSITIVE_INFINITY;
  for (const place of places) {
    const dx = (place.point[0] - from[0]) * shrink;
    const dy = place.point[1] - from[1];
    const length = Math.hypot(dx, dy);
    if (length < 1e-9) continue;
    const cosine = (dx * ax + dy * ay) / length;
    if (cosine < 0.5) continue;
    const cost = length / cosine ** 2;
    if (cost < least) {
      least = cost;
      best = place;
    }
  }
  return best;
}

export type Box = readonly [west: number, south: number, east: number, north: number];

/** The window of the given size (degrees) that holds most points: the dense core of a city. */
export function densestWindow(
  points: readonly (readonly [number, number])[],
  width: number,
  height: number,
): Box | null {
  let best: Box | null = null;
  let most = 0;
  for (const [x, y] of points) {
    const box: Box = [x - width / 2, y - height / 2, x + width / 2, y + height / 2];
    let n = 0;
    for (const [px, py] of points) {
      if (px >= box[0] && px <= box[2] && py >= box[1] && py <= box[3]) n += 1;
    }
    if (n > most) {
      most = n;
      best = box;
    }
  }
  return best;
}
