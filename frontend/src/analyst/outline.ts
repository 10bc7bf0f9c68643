/** Cells of one group as one outline: a side two cells share is not drawn. Pure. */
import type { Feature, FeatureCollection, Polygon } from "geojson";
import { collection, feature } from "../draw/guides";

/** Seven digits are a centimetre: neighbours of one grid agree on their corners to that. */
const key = (place: readonly number[]) =>
  `${(place[0] as number).toFixed(6)},${(place[1] as number).toFixed(6)}`;

/** Sides that belong to one of the cells only. */
export function outerSides(cells: readonly Polygon[]): number[][][] {
  const sides = new Map<string, number[][]>();
  for (const cell of cells) {
    const ring = cell.coordinates[0] ?? [];
    for (let i = 0; i + 1 < ring.length; i++) {
      const [a, b] = [ring[i] as number[], ring[i + 1] as number[]];
      const [ka, kb] = [key(a), key(b)];
      const name = ka < kb ? `${ka}|${kb}` : `${kb}|${ka}`;
      if (sides.has(name)) sides.delete(name);
      else sides.set(name, [a, b]);
    }
  }
  return [...sides.values()];
}

/** Hot cells under dots inside one ink line, cold ones inside a dashed one. */
export function marked(cells: readonly Feature[], mark: "hot" | "cold"): Feature[] {
  const polygons = cells.flatMap((one) => (one.geometry.type === "Polygon" ? [one.geometry] : []));
  if (polygons.length === 0) return [];
  const outline = feature(
    { type: "MultiLineString", coordinates: outerSides(polygons) },
    { mark: mark === "cold" ? "cold" : "line" },
  );
  if (mark === "cold") return [outline];
  return [
    feature(
      { type: "MultiPolygon", coordinates: polygons.map((one) => one.coordinates) },
      { mark: "hot" },
    ),
    outline,
  ];
}

/** What of a job's shapes is drawn over the map. */
export function drawnShapes(
  type: string,
  shapes: FeatureCollection,
  category: string,
): FeatureCollection {
  const has = (name: string, value: unknown) => (one: Feature) => one.properties?.[name] === value;
  const { features } = shapes;
  switch (type) {
    case "gi":
      return collection([
        ...marked(features.filter(has("found", "hot")), "hot"),
        ...marked(features.filter(has("found", "cold")), "cold"),
      ]);
    case "emerging": {
      const wanted = features.filter((one) => {
        const { found, category: name } = one.properties ?? {};
        return name !== "none" && (category === "" || category === `${found}: ${name}`);
      });
      return collection([
        ...marked(wanted.filter(has("found", "hot")), "hot"),
        ...marked(wanted.filter(has("found", "cold")), "cold"),
      ]);
    }
    case "forecast":
      return collection(marked(features.filter(has("chosen", true)), "hot"));
    case "scan":
      return collection(
        features.map((one) => ({
          ...one,
          properties: {
            mark: one.properties?.significant ? "cluster" : "cold",
            width: one.properties?.significant ? 2.6 : 1.2,
            rank: one.properties?.rank,
          },
        })),
      );
    default:
      return collection([]);
  }
}
