/** What the map beside a text shows: its box, and the level that can be seen in it. Pure. */
import type { LevelInfo } from "../api/models";

export type Box = readonly [west: number, south: number, east: number, north: number];

/** The box around all boxes, a little wider; null: none. */
export function boxAround(boxes: readonly Box[]): Box | null {
  if (boxes.length === 0) return null;
  const west = Math.min(...boxes.map((one) => one[0]));
  const south = Math.min(...boxes.map((one) => one[1]));
  const east = Math.max(...boxes.map((one) => one[2]));
  const north = Math.max(...boxes.map((one) => one[3]));
  const [dx, dy] = [Math.max(east - west, 0.004) * 0.2, Math.max(north - south, 0.004) * 0.2];
  return [west - dx, south - dy, east + dx, north + dy];
}

/** Zoom at which a box of degrees is as wide as `pixels`. */
export function zoomOf(box: Box, pixels: number): number {
  return Math.log2((360 * pixels) / (512 * Math.max(box[2] - box[0], 1e-4)));
}

/** The finest level, not below the wanted one, whose tiles are there at a zoom; else the coarsest. */
export function levelAt(
  levels: readonly LevelInfo[],
  wanted: string,
  zoom: number,
): LevelInfo | undefined {
  const end = levels.findIndex((one) => one.id === wanted);
  const possible = levels.slice(0, end < 0 ? levels.length : end + 1);
  return possible.findLast((one) => one.min_zoom <= zoom) ?? possible[0];
}
