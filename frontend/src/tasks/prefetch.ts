/**
 * What the small maps of the open tasks need, fetched while there is a signal: the unit, its colours, and
 * the tiles under it. Pure but for `prefetch`.
 */
import { addresses } from "../api/client";
import type { MapInfo, UnitDetail } from "../api/models";
import type { Task } from "../api/tasks";
import { heard, keep } from "../offline/offline";
import { newest } from "../state/periods";
import { around, type Box } from "./place";

/** Reach and inner edge of the small map, and its height; the width is at most that of a phone. */
export const STRIP = { reach: 1.6, padding: 18, height: 136, width: 440 };
const TILE = 512;
/** Most tasks whose maps are fetched at once. */
const MOST = 24;

const mercator = (lat: number) => {
  const s = Math.sin((lat * Math.PI) / 180);
  return 0.5 - Math.log((1 + s) / (1 - s)) / (4 * Math.PI);
};
const column = (lon: number) => lon / 360 + 0.5;

/** Tiles under a view of a box: `z/x/y`, at the zoom the map picks, inside the level's own zooms. */
export function tilesUnder(
  box: Box,
  view: { width: number; height: number; padding: number },
  zooms: { min: number; max: number },
): [z: number, x: number, y: number][] {
  const [west, south, east, north] = box;
  const x = [column(west), column(east)] as const;
  const y = [mercator(north), mercator(south)] as const;
  const wide = (view.width - 2 * view.padding) / TILE / (x[1] - x[0]);
  const high = (view.height - 2 * view.padding) / TILE / (y[1] - y[0]);
  const zoom = Math.min(17, Math.log2(Math.min(wide, high)));
  if (zoom < zooms.min) return [];
  const z = Math.min(zooms.max, Math.floor(zoom));
  const n = 2 ** z;
  const scale = 2 ** zoom * TILE;
  const middle = [(x[0] + x[1]) / 2, (y[0] + y[1]) / 2] as const;
  const half = [view.width / 2 / scale, view.height / 2 / scale] as const;
  const range = (axis: 0 | 1) => [
    Math.floor((middle[axis] - half[axis]) * n),
    Math.floor((middle[axis] + half[axis]) * n),
  ];
  const [x0, x1] = range(0) as [number, number];
  const [y0, y1] = range(1) as [number, number];
  const out: [number, number, number][] = [];
  for (let i = x0; i <= x1; i++) for (let j = y0; j <= y1; j++) out.push([z, i, j]);
  return out;
}

/** Addresses of one small map, besides the unit itself. */
export function stripAddresses(map: MapInfo, task: Task, bounds: readonly number[]): string[] {
  const out: string[] = [];
  const question = {
    run: map.run,
    level: task.level,
    kind: task.kind,
    period: "month" as const,
    ord: newest(map.periods.month),
  };
  out.push(addresses.values(question));
  const box = around(bounds, STRIP.reach);
  const last = map.levels.findIndex((one) => one.id === task.level);
  const layers = [
    ...map.levels
      .slice(0, last + 1)
      .map((one) => ({ tiles: one.tiles, min: one.min_zoom, max: one.max_zoom })),
    { tiles: map.context_tiles ?? "", min: 0, max: 10 },
  ];
  for (const { tiles, min, max } of layers) {
    if (tiles === "") continue;
    for (const [z, x, y] of tilesUnder(box, STRIP, { min, max })) {
      out.push(tiles.replace("{z}", String(z)).replace("{x}", String(x)).replace("{y}", String(y)));
    }
  }
  return out;
}

const asked = new Set<string>();

/** Fetch what is not here yet; without a worker, or without a signal, nothing is. */
export async function prefetch(map: MapInfo, tasks: readonly Task[]): Promise<void> {
  if (!navigator.serviceWorker?.controller) return;
  for (const task of tasks.slice(0, MOST)) {
    const unit = addresses.unit(map.pack, task.code);
    const key = `${map.run} ${task.kind} ${unit}`;
    if (asked.has(key)) continue;
    asked.add(key);
    try {
      const { value, kept } = await heard<UnitDetail>(unit);
      if (kept) return;
      const wanted = stripAddresses(map, task, value.bounds).filter((one) => !asked.has(one));
      for (const one of wanted) asked.add(one);
      keep(wanted);
    } catch {
      asked.delete(key);
      return;
    }
  }
}
