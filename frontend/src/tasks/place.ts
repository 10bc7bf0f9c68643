/** Frames around a unit, and the reason of a task in one line. Pure. */

export type Box = [west: number, south: number, east: number, north: number];

/** A box with the same middle, `reach` times as wide and high, never smaller than about 300 m. */
export function around(box: readonly number[], reach: number): Box {
  const [west, south, east, north] = box as unknown as Box;
  const half = (a: number, b: number) => (Math.max(b - a, 0.003) * reach) / 2;
  const x = (west + east) / 2;
  const y = (south + north) / 2;
  const dx = half(west, east);
  const dy = half(south, north);
  return [x - dx, y - dy, x + dx, y + dy];
}

/** The box of several places, a little wider than they are; null: none. */
export function boxOf(places: readonly (readonly [number, number])[]): Box | null {
  if (places.length === 0) return null;
  const xs = places.map((one) => one[0]);
  const ys = places.map((one) => one[1]);
  return around([Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)], 1.2);
}

/** A sentence in parts, every second one to be bold: counts of events before the first semicolon. */
export function boldNumbers(text: string): string[] {
  const end = text.search(/[;；]/);
  const head = end < 0 ? text : text.slice(0, end);
  const parts = head.split(/(\d[\d,.]*)(?=\s?(?:件|observed|expected))/);
  if (end >= 0) parts[parts.length - 1] += text.slice(end);
  return parts;
}

/** The first two clauses of a reason: how many, and how many were to be expected. */
export function oneLine(text: string): string {
  const head = text.split(/[;；。]/)[0] as string;
  const parts = head.split(/(，|, )/);
  return parts.slice(0, 3).join("");
}
