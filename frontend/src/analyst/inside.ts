/** Units on the screen that belong to an area: those whose label point lies inside it. */
import type { Geometry } from "geojson";
import type { MapLibreMap } from "maplibre-gl";
import { LABELS, sourceOf, UNITS } from "../command/map-style";
import { type Box, boxOf, contains, type Position, type Ring } from "../draw/shapes";

export interface Inside {
  /** Feature ids, each once. */
  ids: number[];
  /** Whether all of the area is on the screen, so that nothing is missing. */
  whole: boolean;
}

export function unitsInside(map: MapLibreMap, level: string, parts: readonly Ring[][]): Inside {
  const box = boxOf(parts);
  if (!box) return { ids: [], whole: false };
  const ids = new Set<number>();
  for (const one of map.querySourceFeatures(sourceOf(level), { sourceLayer: LABELS })) {
    if (one.geometry.type !== "Point") continue;
    const at = one.geometry.coordinates as Position;
    if (within(box, at) && contains(parts, at)) ids.add(Number(one.id));
  }
  const seen = map.getBounds();
  const whole =
    seen.getWest() <= box[0] &&
    seen.getEast() >= box[2] &&
    seen.getSouth() <= box[1] &&
    seen.getNorth() >= box[3];
  return { ids: [...ids], whole: whole && map.areTilesLoaded() };
}

/** Ground of the units that touch the frame of an area, in pieces as the tiles hold them. */
export function groundOf(
  map: MapLibreMap,
  level: string,
  box: Box,
): { id: number; geometry: Geometry }[] {
  return map
    .querySourceFeatures(sourceOf(level), { sourceLayer: UNITS })
    .filter((one) => touches(one.geometry, box))
    .map((one) => ({ id: Number(one.id), geometry: one.geometry }));
}

function within([w, s, e, n]: Box, [x, y]: Position): boolean {
  return x >= w && x <= e && y >= s && y <= n;
}

function touches(geometry: Geometry, [w, s, e, n]: Box): boolean {
  const rings =
    geometry.type === "Polygon"
      ? geometry.coordinates
      : geometry.type === "MultiPolygon"
        ? geometry.coordinates.flat()
        : [];
  let [minX, minY, maxX, maxY] = [180, 90, -180, -90];
  for (const ring of rings) {
    for (const [x, y] of ring as Position[]) {
      if (x < minX) minX = x;
      if (x > maxX) maxX = x;
      if (y < minY) minY = y;
      if (y > maxY) maxY = y;
    }
  }
  return minX <= e && maxX >= w && minY <= n && maxY >= s;
}
