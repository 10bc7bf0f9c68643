/** Neutral surroundings: neighbouring counties, cities and provinces without any class. */
import type { LayerSpecification } from "maplibre-gl";
import type { Theme } from "../style/theme";

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
