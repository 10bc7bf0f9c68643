/**
 * How far a place is from the shared lines, worked out on the device when nobody answers. Pure, degrees,
 * x east y north, metres on the WGS84 ellipsoid; within a metre up to 30 km (tests compare with geodesics).
 */
import type { Position } from "../draw/shapes";

const A = 6_378_137;
const E2 = 0.00669437999014;
const RAD = Math.PI / 180;

/** Metres of a degree north and of a degree east at a latitude. */
function degree(latitude: number): [north: number, east: number] {
  const sin = Math.sin(latitude * RAD);
  const w = Math.sqrt(1 - E2 * sin * sin);
  return [((A * (1 - E2)) / w ** 3) * RAD, (A / w) * Math.cos(latitude * RAD) * RAD];
}

/** Distance by the radii of the middle latitude. */
export function metresBetween(a: Position, b: Position): number {
  const [north, east] = degree((a[1] + b[1]) / 2);
  return Math.hypot((b[0] - a[0]) * east, (b[1] - a[1]) * north);
}

/** Direction from a to b, degrees from north, clockwise. */
export function bearing(a: Position, b: Position): number {
  const [north, east] = degree((a[1] + b[1]) / 2);
  const angle = Math.atan2((b[0] - a[0]) * east, (b[1] - a[1]) * north) / RAD;
  return (angle + 360) % 360;
}

export interface Nearest<T> {
  metres: number;
  at: Position;
  of: T;
}

/** Nearest place of all lines; null: there is none. */
export function nearestOf<T>(
  p: Position,
  lines: readonly { of: T; parts: readonly (readonly Position[])[] }[],
): Nearest<T> | null {
  const [north, east] = degree(p[1]);
  let best: { square: number; at: Position; of: T } | null = null;
  for (const { of, parts } of lines) {
    for (const part of parts) {
      for (let i = 1; i < part.length; i++) {
        const a = part[i - 1] as Position;
        const b = part[i] as Position;
        const [ax, ay] = [(a[0] - p[0]) * east, (a[1] - p[1]) * north];
        const [dx, dy] = [(b[0] - a[0]) * east, (b[1] - a[1]) * north];
        const length = dx * dx + dy * dy;
        const t = length === 0 ? 0 : Math.min(1, Math.max(0, -(ax * dx + ay * dy) / length));
        const [x, y] = [ax + t * dx, ay + t * dy];
        const square = x * x + y * y;
        if (best === null || square < best.square) {
          best = { square, at: [a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])], of };
        }
      }
    }
  }
  return best && { metres: metresBetween(p, best.at), at: best.at, of: best.of };
}
