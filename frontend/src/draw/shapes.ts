/**
 * What can be drawn, and plain geometry on it. Pure. Longitude before latitude, WGS84 degrees, rings closed;
 * lengths in metres on the sphere of mean radius: good for what is shown while a hand moves. The exact
 * outline and area of an answer are the server's.
 */
export type Position = [longitude: number, latitude: number];
export type Ring = Position[];

export type Shape =
  | { kind: "polygon"; parts: Ring[][] }
  | { kind: "circle"; centre: Position; metres: number }
  | { kind: "corridor"; line: Position[]; metres: number }
  | { kind: "units"; codes: string[] };

/** One area on the desk: what it is called and where it is. */
export interface Area {
  name: string;
  shape: Shape;
}

export const EARTH = 6_371_008.8;
const RAD = Math.PI / 180;
/** Degrees are kept to six digits, a tenth of a metre: a link brings back the very same shape. */
export const DIGITS = 6;
const UNIT = 10 ** DIGITS;

export function rounded([longitude, latitude]: readonly number[]): Position {
  return [
    Math.round((longitude as number) * UNIT) / UNIT,
    Math.round((latitude as number) * UNIT) / UNIT,
  ];
}

/** Distance of two places, metres. */
export function distance(a: Position, b: Position): number {
  const [dx, dy] = [(b[0] - a[0]) * RAD, (b[1] - a[1]) * RAD];
  const h =
    Math.sin(dy / 2) ** 2 + Math.cos(a[1] * RAD) * Math.cos(b[1] * RAD) * Math.sin(dx / 2) ** 2;
  return 2 * EARTH * Math.asin(Math.min(1, Math.sqrt(h)));
}

/** Circle on the sphere as a closed ring of `n` corners, counter-clockwise. */
export function circleRing(centre: Position, metres: number, n = 96): Ring {
  const [lon, lat] = [centre[0] * RAD, centre[1] * RAD];
  const d = metres / EARTH;
  const ring: Ring = [];
  for (let i = 0; i < n; i++) {
    const bearing = (-2 * Math.PI * i) / n;
    const y = Math.asin(
      Math.sin(lat) * Math.cos(d) + Math.cos(lat) * Math.sin(d) * Math.cos(bearing),
    );
    const x =
      lon +
      Math.atan2(
        Math.sin(bearing) * Math.sin(d) * Math.cos(lat),
        Math.cos(d) - Math.sin(lat) * Math.sin(y),
      );
    ring.push([x / RAD, y / RAD]);
  }
  ring.push(ring[0] as Position);
  return ring;
}

/** Outline of everything within `metres` of a line: one capsule for each piece, together a union. */
export function corridorRings(line: readonly Position[], metres: number): Ring[] {
  const out: Ring[] = [];
  for (let i = 0; i + 1 < line.length; i++) {
    const [a, b] = [line[i] as Position, line[i + 1] as Position];
    const k = Math.cos(((a[1] + b[1]) / 2) * RAD);
    const angle = Math.atan2(b[1] - a[1], (b[0] - a[0]) * k);
    const r = metres / EARTH / RAD;
    const arc = (centre: Position, from: number): Ring =>
      Array.from({ length: 17 }, (_, step) => {
        const t = from + (Math.PI * step) / 16;
        return [centre[0] + (r * Math.cos(t)) / k, centre[1] + r * Math.sin(t)];
      });
    const ring = [...arc(b, angle - Math.PI / 2), ...arc(a, angle + Math.PI / 2)];
    ring.push(ring[0] as Position);
    out.push(ring);
  }
  return out;
}

/** Outlines to draw before the server's exact ones are there; units have none of their own. */
export function outlineOf(shape: Shape): Ring[][] {
  switch (shape.kind) {
    case "polygon":
      return shape.parts;
    case "circle":
      return [[circleRing(shape.centre, shape.metres)]];
    case "corridor":
      return corridorRings(shape.line, shape.metres).map((ring) => [ring]);
    case "units":
      return [];
  }
}

/** Area of a ring on the sphere, m², positive counter-clockwise (spherical trapezoids). */
export function ringArea(ring: readonly Position[]): number {
  let sum = 0;
  for (let i = 0; i + 1 < ring.length; i++) {
    const [a, b] = [ring[i] as Position, ring[i + 1] as Position];
    sum += (b[0] - a[0]) * RAD * (2 + Math.sin(a[1] * RAD) + Math.sin(b[1] * RAD));
  }
  return (-sum * EARTH * EARTH) / 2;
}

/** Square kilometres of outlines without overlaps; holes are taken away. */
export function squareKilometres(parts: readonly Ring[][]): number {
  let sum = 0;
  for (const rings of parts) {
    rings.forEach((ring, index) => {
      sum += (index === 0 ? 1 : -1) * Math.abs(ringArea(ring));
    });
  }
  return sum / 1e6;
}

export type Box = [west: number, south: number, east: number, north: number];

export function boxOf(parts: readonly Ring[][]): Box | null {
  let box: Box | null = null;
  for (const [x, y] of parts.flat(2)) {
    box = box
      ? [Math.min(box[0], x), Math.min(box[1], y), Math.max(box[2], x), Math.max(box[3], y)]
      : [x, y, x, y];
  }
  return box;
}

/** Whether a place is inside (even-odd over all rings). */
export function contains(parts: readonly Ring[][], [x, y]: Position): boolean {
  let inside = false;
  for (const ring of parts.flat()) {
    for (let i = 0; i + 1 < ring.length; i++) {
      const [a, b] = [ring[i] as Position, ring[i + 1] as Position];
      if (a[1] > y !== b[1] > y && x < ((b[0] - a[0]) * (y - a[1])) / (b[1] - a[1]) + a[0]) {
        inside = !inside;
      }
    }
  }
  return inside;
}

function meeting(a: Position, b: Position, c: Position, d: Position): Position | null {
  const [rx, ry] = [b[0] - a[0], b[1] - a[1]];
  const [sx, sy] = [d[0] - c[0], d[1] - c[1]];
  const cross = rx * sy - ry * sx;
  if (cross === 0) return null;
  const t = ((c[0] - a[0]) * sy - (c[1] - a[1]) * sx) / cross;
  const u = ((c[0] - a[0]) * ry - (c[1] - a[1]) * rx) / cross;
  return t > 0 && t < 1 && u > 0 && u < 1 ? [a[0] + t * rx, a[1] + t * ry] : null;
}

export type Fault = { reason: "crossing" | "too_few" | "zero_area"; at: Position };

/** The first thing wrong with a closed ring, and where. */
export function faultOf(ring: readonly Position[]): Fault | null {
  const first = ring[0];
  if (!first) return null;
  const corners = new Set(ring.map((one) => one.join())).size;
  if (corners < 3) return { reason: "too_few", at: first };
  const n = ring.length - 1;
  for (let i = 0; i < n; i++) {
    for (let j = i + 2; j < n; j++) {
      if (i === 0 && j === n - 1) continue;
      const at = meeting(
        ring[i] as Position,
        ring[i + 1] as Position,
        ring[j] as Position,
        ring[j + 1] as Position,
      );
      if (at) return { reason: "crossing", at };
    }
  }
  return Math.abs(ringArea(ring)) < 1e-3 ? { reason: "zero_area", at: first } : null;
}

/** A ring with fewer corners, none of them moved more than `metres` (Douglas and Peucker). */
export function simplified(ring: Ring, metres: number): Ring {
  if (ring.length < 6) return ring;
  const keep = new Uint8Array(ring.length);
  // the corner farthest from the first splits the ring into two open lines
  let far = 1;
  for (let i = 1; i < ring.length - 1; i++) {
    if (
      distance(ring[0] as Position, ring[i] as Position) >
      distance(ring[0] as Position, ring[far] as Position)
    ) {
      far = i;
    }
  }
  keep[0] = 1;
  keep[far] = 1;
  keep[ring.length - 1] = 1;
  const stack: [number, number][] = [
    [0, far],
    [far, ring.length - 1],
  ];
  for (let job = stack.pop(); job; job = stack.pop()) {
    const [from, to] = job;
    let worst = -1;
    let most = metres;
    for (let i = from + 1; i < to; i++) {
      const off = offLine(ring[i] as Position, ring[from] as Position, ring[to] as Position);
      if (off > most) {
        most = off;
        worst = i;
      }
    }
    if (worst < 0) continue;
    keep[worst] = 1;
    stack.push([from, worst], [worst, to]);
  }
  const out = ring.filter((_, index) => keep[index] === 1);
  return out.length < 4 ? ring : out;
}

/** Distance of a place from a piece of line, metres (plane at the place). */
export function offLine(p: Position, a: Position, b: Position): number {
  const on = nearestOn(p, a, b);
  return distance(p, on);
}

/** Nearest place to `p` on the piece from `a` to `b`. */
export function nearestOn(p: Position, a: Position, b: Position): Position {
  const k = Math.cos(p[1] * RAD);
  const [dx, dy] = [(b[0] - a[0]) * k, b[1] - a[1]];
  const length = dx * dx + dy * dy;
  if (length === 0) return a;
  const t = Math.min(1, Math.max(0, ((p[0] - a[0]) * k * dx + (p[1] - a[1]) * dy) / length));
  return [a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])];
}
