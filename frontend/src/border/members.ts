/** Units that may be members of a zone: those the map has loaded on both sides of a line, nearest first. */
import type { MapLibreMap } from "maplibre-gl";
import type { MapInfo } from "../api/models";
import { sourceOf, UNITS } from "../command/map-style";
import type { Position } from "../draw/shapes";
import type { Lang } from "../state/hash";
import { nearestOf } from "./nearest";
import type { BorderLines } from "./types";

export interface Member {
  code: string;
  name: string;
  side: string;
  metres: number;
}

const FARTHEST = 60_000;
const LEVELS = ["county", "town"];

/** The map of the page; undefined while there is none. */
function mapOfPage(): MapLibreMap | undefined {
  return document.querySelector<HTMLElement & { map?: MapLibreMap }>(".border-map-pane .map-box")
    ?.map;
}

/** Names of units as far as the map has loaded them. */
export function namesOf(codes: readonly string[], info: MapInfo, lang: Lang): string[] {
  const map = mapOfPage();
  return codes.map((code) => {
    for (const level of info.levels) {
      if (!map?.getSource(sourceOf(level.id))) continue;
      const [found] = map.querySourceFeatures(sourceOf(level.id), {
        sourceLayer: "labels",
        filter: ["==", ["get", "code"], code],
      });
      const english = lang === "en" ? String(found?.properties.name_en ?? "") : "";
      if (found) return english || String(found.properties.name);
    }
    return code;
  });
}

const SAMPLES = 6;

/** A point, or some corners of a shape. */
function somePlaces(geometry: GeoJSON.Geometry): Position[] {
  if (geometry.type === "Point") return [geometry.coordinates as Position];
  const rings =
    geometry.type === "Polygon"
      ? geometry.coordinates
      : geometry.type === "MultiPolygon"
        ? geometry.coordinates.flat()
        : [];
  const all = rings.flat() as Position[];
  const step = Math.max(1, Math.floor(all.length / SAMPLES));
  return all.filter((_, index) => index % step === 0);
}

/** Names and places of the units that are loaded; the levels below a side whose tiles are there. */
export function membersOf(
  line: BorderLines["lines"][number] | undefined,
  info: MapInfo,
  lang: Lang,
): Member[] {
  const map = mapOfPage();
  if (!line || !map) return [];
  const sides = [line.side_a.code, line.side_b.code];
  const parts = (line.geometry as { coordinates?: Position[][] }).coordinates ?? [];
  const found = new Map<string, Member>();
  const levels = LEVELS.filter(
    (id) => info.levels.some((one) => one.id === id) && map.getSource(sourceOf(id)),
  );
  const features = levels.flatMap((id) => [
    ...map.querySourceFeatures(sourceOf(id), { sourceLayer: "labels" }),
    // a unit whose name lies outside of what is loaded has its shape there
    ...map.querySourceFeatures(sourceOf(id), { sourceLayer: UNITS }),
  ]);
  for (const { properties, geometry } of features) {
    const code = String(properties.code);
    const side = sides.find((each) => code.startsWith(each) && code !== each);
    if (!side || found.has(code)) continue;
    const metres = Math.min(
      ...somePlaces(geometry).map((p) => nearestOf(p, [{ of: side, parts }])?.metres ?? FARTHEST),
    );
    if (metres >= FARTHEST) continue;
    const english = lang === "en" ? String(properties.name_en ?? "") : "";
    found.set(code, { code, name: english || String(properties.name), side, metres });
  }
  return [...found.values()]
    .toSorted((a, b) => a.code.length - b.code.length || a.metres - b.metres)
    .slice(0, 40);
}
