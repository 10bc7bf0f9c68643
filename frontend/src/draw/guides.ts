/** Corners and middles of what is drawn or changed, and the nearest border to a hand. Pure. */
import type { Feature, FeatureCollection, Geometry, Position as GeoPosition } from "geojson";
import { nearestOn, type Position } from "./shapes";

export const NOTHING: FeatureCollection = { type: "FeatureCollection", features: [] };

export function collection(features: Feature[]): FeatureCollection {
  return { type: "FeatureCollection", features };
}

export function feature(geometry: Geometry, properties: Record<string, unknown> = {}): Feature {
  return { type: "Feature", geometry, properties };
}

/** All pieces of line of a polygon or line geometry. */
function* lines(geometry: Geometry): Generator<GeoPosition[]> {
  switch (geometry.type) {
    case "LineString":
      yield geometry.coordinates;
      break;
    case "MultiLineString":
    case "Polygon":
      yield* geometry.coordinates;
      break;
    case "MultiPolygon":
      for (const part of geometry.coordinates) yield* part;
      break;
  }
}

/**
 * Place on the borders nearest to `at`, corners first: a corner within `reach` beats any nearer side. Null
 * when nothing is within `reach`, in the unit of `away` (screen pixels).
 */
export function nearestBorder(
  at: Position,
  borders: readonly Geometry[],
  away: (place: Position) => number,
  reach: number,
): Position | null {
  let corner: Position | null = null;
  let side: Position | null = null;
  let [nearCorner, nearSide] = [reach, reach];
  for (const geometry of borders) {
    for (const line of lines(geometry)) {
      for (let i = 0; i < line.length; i++) {
        const here = line[i] as Position;
        const off = away(here);
        if (off < nearCorner) [corner, nearCorner] = [[here[0], here[1]], off];
        const next = line[i + 1] as Position | undefined;
        if (!next) continue;
        const on = nearestOn(at, here, next);
        const aside = away(on);
        if (aside < nearSide) [side, nearSide] = [on, aside];
      }
    }
  }
  return corner ?? side;
}
