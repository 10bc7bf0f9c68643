/**
 * Text that somebody pasted: WKT, GeoJSON, or bare coordinates. Only what kind of text it is and whether it
 * holds together is decided here; the CRS is declared beside it and the server reads the numbers. Pure.
 */
import type { Position } from "./shapes";

export type Pasted =
  | { wkt: string }
  | { geojson: object }
  | { circle: Position }
  | { error: "empty" | "not_read" | "too_few"; place?: string };

const NUMBER = /[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?/g;

/** Geometry of a GeoJSON text: the first polygon of a collection stands for it when it is alone. */
function geometryOf(value: unknown): object | null {
  if (typeof value !== "object" || value === null || !("type" in value)) return null;
  const one = value as { type: string; geometry?: unknown; features?: unknown[] };
  if (one.type === "Feature") return geometryOf(one.geometry);
  if (one.type === "FeatureCollection") {
    const polygons = (one.features ?? []).flatMap((each) => {
      const found = geometryOf(each) as { type: string; coordinates: unknown[] } | null;
      if (!found) return [];
      return found.type === "Polygon" ? [found.coordinates] : found.coordinates;
    });
    return polygons.length > 0 ? { type: "MultiPolygon", coordinates: polygons } : null;
  }
  return one.type === "Polygon" || one.type === "MultiPolygon" ? one : null;
}

export function readPasted(text: string): Pasted {
  const trimmed = text.trim();
  if (trimmed === "") return { error: "empty" };
  if (/^(SRID=\d+;)?\s*(MULTI)?POLYGON/i.test(trimmed)) return { wkt: trimmed };
  if (trimmed.startsWith("{")) {
    try {
      const found = geometryOf(JSON.parse(trimmed));
      return found ? { geojson: found } : { error: "not_read" };
    } catch (error) {
      return { error: "not_read", place: String(error).replace(/^SyntaxError:\s*/, "") };
    }
  }
  // bare coordinates: pairs of numbers, longitude first, divided by whatever
  const rest = trimmed.replace(NUMBER, "").replace(/[\s,，;；、/|()[\]°]+/g, "");
  if (rest !== "") return { error: "not_read", place: rest.slice(0, 20) };
  const found = trimmed.match(NUMBER)?.map(Number) ?? [];
  if (found.length % 2 === 1) return { error: "not_read", place: String(found.at(-1)) };
  const places: Position[] = [];
  for (let i = 0; i < found.length; i += 2) {
    places.push([found[i] as number, found[i + 1] as number]);
  }
  if (places.length === 1) return { circle: places[0] as Position };
  if (places.length === 2) return { error: "too_few" };
  const [first, last] = [places[0] as Position, places.at(-1) as Position];
  if (first[0] !== last[0] || first[1] !== last[1]) places.push(first);
  if (places.length < 4) return { error: "too_few" };
  return { geojson: { type: "Polygon", coordinates: [places] } };
}
