/** Neutral surroundings: neighbouring counties, cities and provinces without any class. */
import type { LayerSpecification, SymbolLayerSpecification } from "maplibre-gl";
import type { Theme } from "../style/theme";
import { nameIn, REGULAR } from "./labels.layer";
import type { StyleInput } from "./map-style";

const LAYER = "context";

/** Layers of the archive `context`: polygons with `kind` province, city or county. */
export function contextLayers(theme: Theme, source: string, scale: number): LayerSpecification[] {
  const n = theme.neutral;
  const base = { source, "source-layer": LAYER };
  const line = (
    kind: string,
    color: string,
    width: number,
    dash?: number[],
  ): LayerSpecification => ({
    ...base,
    id: `context-${kind}`,
    type: "line",
    filter: ["==", ["get", "kind"], kind],
    layout: { "line-join": "round" },
    paint: {
      "line-color": color,
      "line-width": width * scale,
      ...(dash ? { "line-dasharray": dash } : {}),
    },
  });
  return [
    {
      ...base,
      id: "context-land",
      type: "fill",
      filter: ["==", ["get", "kind"], "county"],
      paint: { "fill-color": n.bg, "fill-antialias": false },
    },
    line("county", theme.dark ? n.line : n.line2, 0.8),
    line("city", theme.dark ? n.line2 : n.ink4, 1),
    line("province", theme.dark ? "#4A5664" : n.ink3, 1.6, [10, 3, 2, 3]),
  ];
}

/**
 * Names around the map, quiet and spaced: provinces from afar, then cities, close up counties. They come
 * before the map's own names and give way to them.
 */
export function contextLabelLayers(input: StyleInput, source: string): SymbolLayerSpecification[] {
  const { theme, scale } = input;
  const n = theme.neutral;
  const name = (
    kind: string,
    size: number,
    minzoom: number,
    maxzoom: number,
  ): SymbolLayerSpecification => ({
    id: `context-label-${kind}`,
    type: "symbol",
    source,
    "source-layer": `${LAYER}_labels`,
    filter: ["==", ["get", "kind"], kind],
    minzoom,
    maxzoom,
    layout: {
      "text-field": nameIn(input.lang),
      "text-font": REGULAR,
      "text-size": size * scale,
      "text-letter-spacing": input.lang === "zh" ? 0.22 : 0.06,
      "text-padding": 10,
      "text-max-width": 9,
      "symbol-sort-key": ["coalesce", ["get", "rank"], 0],
    },
    paint: {
      "text-color": n.ink3,
      "text-halo-color": n.bg,
      "text-halo-width": 1.2 * scale,
    },
  });
  return [name("province", 14, 3, 6.5), name("county", 11.5, 9.2, 24), name("city", 13, 6, 9.2)];
}
