/** The border of a unit nearest to the hand, of the level shown and those above it. */
import type { MapLibreMap } from "maplibre-gl";
import { nearestBorder } from "../draw/guides";
import type { Position } from "../draw/shapes";

/** Reach of a border, CSS px. */
const REACH = 10;

export function snapTo(map: MapLibreMap, at: Position, level: string): Position | null {
  const { x, y } = map.project(at);
  const layer = `border-${level}`;
  if (!map.getLayer(layer)) return null;
  const found = map.queryRenderedFeatures(
    [
      [x - REACH, y - REACH],
      [x + REACH, y + REACH],
    ],
    { layers: [layer] },
  );
  return nearestBorder(
    at,
    found.map((one) => one.geometry),
    (place) => {
      const on = map.project(place);
      return Math.hypot(on.x - x, on.y - y);
    },
    REACH,
  );
}
