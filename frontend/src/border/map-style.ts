/**
 * The border map as a pure function of what is known (LOOK 3): neutral neighbours, white counties, cells
 * of the joint evaluation, shared lines, zones, clusters, names, symbols. Shapes that can change travel
 * inside the style; MapLibre sends on only what differs.
 */
import type { ExpressionSpecification, LayerSpecification, StyleSpecification } from "maplibre-gl";
import { COLOURS } from "../api/models";
import { contextLabelLayers, contextLayers } from "../command/context.layer";
import { BOLD, nameIn, REGULAR } from "../command/labels.layer";
import { sourceOf, UNITS } from "../command/map-style";
import { OVERLAY } from "../style/patterns";
import { LEVELS, type MapInput, sourcesOf } from "./map-sources";

const BLUE = COLOURS.indexOf("blue");
export const CLUSTER_LAYERS = ["cluster-hit", "cluster-disc"];
export const GROUND = "county-ground";

const ROUND = { "line-join": "round", "line-cap": "round" } as const;
const is = (key: string, value: string | boolean): ExpressionSpecification => [
  "==",
  ["get", key],
  value,
];

function groundLayers({ theme, map }: MapInput): LayerSpecification[] {
  const n = theme.neutral;
  const [outer] = map.levels;
  const layers: LayerSpecification[] = [];
  if (outer && LEVELS.includes(outer.id)) {
    layers.push({
      id: "ground",
      type: "fill",
      source: sourceOf(outer.id),
      "source-layer": UNITS,
      paint: { "fill-color": n.surface, "fill-antialias": false },
    });
  }
  const county = map.levels.find((one) => one.id === "county");
  if (county) {
    layers.push({
      id: GROUND,
      type: "fill",
      source: sourceOf("county"),
      "source-layer": UNITS,
      paint: { "fill-color": n.surface, "fill-opacity": 0 },
    });
  }
  return layers;
}

function cellLayers({ theme, run, kind, pattern, scale }: MapInput): LayerSpecification[] {
  if (!run) return [];
  const n = theme.neutral;
  const colours = COLOURS.slice(1).flatMap((one, index) => [index + 1, theme.classes[one].fill]);
  const of: ExpressionSpecification = ["coalesce", ["get", kind], 0];
  const base = { source: "pooled", "source-layer": "cells" };
  return [
    {
      ...base,
      id: "cells",
      type: "fill",
      paint: {
        "fill-color": [
          "match",
          of,
          ...colours,
          theme.classes.none.fill,
        ] as unknown as ExpressionSpecification,
        // the strip of normal cells must not be read as a river
        "fill-opacity": ["case", ["==", of, BLUE], 0.34, 1],
        "fill-antialias": false,
      },
    },
    {
      ...base,
      id: "cells-none",
      type: "fill",
      filter: ["==", of, 0],
      paint: { "fill-pattern": `hatch/${theme.dark ? "dark" : "light"}`, "fill-antialias": false },
    },
    ...(pattern ? OVERLAY : []).map(
      (colour): LayerSpecification => ({
        ...base,
        id: `cells-${colour}`,
        type: "fill",
        filter: ["==", of, COLOURS.indexOf(colour)],
        paint: {
          "fill-pattern": `${colour}/${theme.dark ? "dark" : "light"}`,
          "fill-antialias": false,
        },
      }),
    ),
    {
      ...base,
      id: "cells-edge",
      type: "line",
      paint: {
        "line-color": n.surface,
        "line-width": ["interpolate", ["linear"], ["zoom"], 7, 0.4 * scale, 10, 1.1 * scale],
      },
    },
  ];
}

function borderLines({ theme, map, scale }: MapInput): LayerSpecification[] {
  const n = theme.neutral;
  const there = (id: string) => map.levels.some((one) => one.id === id);
  const layers: LayerSpecification[] = [];
  const line = (id: string, color: string, width: number, opacity = 1, minzoom = 0) => {
    if (!there(id)) return;
    layers.push({
      id: `border-${id}`,
      type: "line",
      source: sourceOf(id),
      "source-layer": UNITS,
      minzoom,
      layout: ROUND,
      paint: { "line-color": color, "line-width": width * scale, "line-opacity": opacity },
    });
  };
  line("town", n.ink4, 0.6, 0.7, 10.5);
  line("county", n.ink3, 0.8);
  line("city", n.ink2, 1.1);
  return layers;
}

function sharedLines({ theme, scale }: MapInput): LayerSpecification[] {
  const n = theme.neutral;
  const base = { type: "line" as const, source: "lines" };
  return [
    {
      ...base,
      id: "line-band",
      layout: ROUND,
      paint: { "line-color": n.ink, "line-width": 12 * scale, "line-opacity": 0.14 },
    },
    {
      ...base,
      id: "line-casing",
      layout: ROUND,
      paint: { "line-color": n.surface, "line-width": 4.5 * scale },
    },
    {
      ...base,
      id: "line-ink",
      layout: { "line-join": "round" },
      paint: { "line-color": n.ink, "line-width": 2 * scale, "line-dasharray": [5, 1.5, 1, 1.5] },
    },
  ];
}

function zoneLayers({ theme, scale }: MapInput): LayerSpecification[] {
  const n = theme.neutral;
  const line = (id: string, look: string, paint: object): LayerSpecification =>
    ({
      id,
      type: "line",
      source: "zones",
      filter: is("look", look),
      layout: { "line-join": "round" },
      paint: { "line-color": n.ink, "line-width": 1.4 * scale, ...paint },
    }) as LayerSpecification;
  return [
    {
      id: "zone-hatch",
      type: "fill",
      source: "zones",
      filter: is("look", "live"),
      paint: { "fill-pattern": `zone/${theme.dark ? "dark" : "light"}`, "fill-antialias": false },
    },
    {
      id: "zone-selected",
      type: "line",
      source: "zones",
      filter: is("selected", true),
      layout: ROUND,
      paint: { "line-color": n.surface, "line-width": 7 * scale },
    },
    line("zone-over", "over", { "line-color": n.ink4 }),
    line("zone-proposed", "proposed", { "line-dasharray": [4, 3] }),
    line("zone-live", "live", {}),
    {
      id: "zone-selected-ink",
      type: "line",
      source: "zones",
      filter: is("selected", true),
      layout: ROUND,
      paint: { "line-color": n.ink, "line-width": 3 * scale },
    },
    {
      id: "draft",
      type: "line",
      source: "draft",
      layout: { "line-join": "round" },
      paint: { "line-color": n.ink, "line-width": 2 * scale, "line-dasharray": [4, 3] },
    },
    {
      id: "leader",
      type: "line",
      source: "leader",
      filter: ["==", ["geometry-type"], "LineString"],
      paint: { "line-color": n.ink, "line-width": 2 * scale, "line-dasharray": [2, 1.6] },
    },
    {
      id: "accuracy",
      type: "fill",
      source: "leader",
      filter: ["==", ["geometry-type"], "Polygon"],
      paint: { "fill-color": n.ink, "fill-opacity": 0.1 },
    },
  ];
}

function clusterLayers({ theme, scale }: MapInput): LayerSpecification[] {
  const n = theme.neutral;
  const suffix = theme.dark ? "dark" : "light";
  const ring = (id: string, seen: string, width: number, dash?: number[]): LayerSpecification[] => [
    {
      id: `${id}-casing`,
      type: "line",
      source: "clusters",
      filter: ["all", is("seen", seen), ["==", ["geometry-type"], "LineString"]],
      paint: { "line-color": n.surface, "line-width": (width + 3) * scale, "line-opacity": 0.85 },
    },
    {
      id,
      type: "line",
      source: "clusters",
      filter: ["all", is("seen", seen), ["==", ["geometry-type"], "LineString"]],
      paint: {
        "line-color": n.ink,
        "line-width": ["case", ["get", "selected"], (width + 1.2) * scale, width * scale],
        ...(dash ? { "line-dasharray": dash } : {}),
      },
    },
  ];
  return [
    {
      id: "cluster-hit",
      type: "line",
      source: "clusters",
      paint: { "line-color": n.ink, "line-width": 22, "line-opacity": 0 },
    },
    ...ring("cluster-one", "one", 1.6, [3, 2.4]),
    ...ring("cluster-several", "several", 2.8),
    ...ring("cluster-together", "together", 2.4),
    {
      id: "cluster-rays",
      type: "symbol",
      source: "clusters",
      filter: ["all", is("seen", "together"), ["==", ["geometry-type"], "LineString"]],
      layout: {
        "symbol-placement": "line",
        "symbol-spacing": 14 * scale,
        "icon-image": `ray/${suffix}`,
        "icon-size": scale,
        "icon-anchor": "bottom",
        "icon-rotation-alignment": "map",
        "icon-allow-overlap": true,
        "icon-ignore-placement": true,
        "icon-padding": 0,
      },
    },
  ];
}

function labelLayers(input: MapInput): LayerSpecification[] {
  const { theme, map, lang, phone, scale } = input;
  const n = theme.neutral;
  const layers: LayerSpecification[] = [];
  if (map.context_tiles) {
    const asked = { theme, lang, scale } as Parameters<typeof contextLabelLayers>[0];
    layers.push(...contextLabelLayers(asked, "context"));
  }
  const name = (id: string, size: number, minzoom: number, maxzoom: number, bold: boolean) => {
    if (!map.levels.some((one) => one.id === id)) return;
    layers.push({
      id: `label-${id}`,
      type: "symbol",
      source: sourceOf(id),
      "source-layer": "labels",
      minzoom,
      maxzoom,
      layout: {
        "text-field": nameIn(lang),
        "text-font": bold ? BOLD : REGULAR,
        "text-size": phone ? size + 2 : size * scale,
        "text-max-width": 8,
        "text-padding": 4,
        "text-letter-spacing": bold ? 0.2 : 0.03,
      },
      paint: {
        "text-color": bold ? n.ink2 : n.ink,
        "text-halo-color": n.surface,
        "text-halo-width": 1.6,
      },
    });
  };
  name("town", 12, 10.6, 24, false);
  name("county", 13, 7.4, 24, false);
  name("city", 15, 4, 8.6, true);
  return layers;
}

function symbolLayers({ theme, phone, scale }: MapInput): LayerSpecification[] {
  const suffix = theme.dark ? "dark" : "light";
  const n = theme.neutral;
  const always = { "icon-allow-overlap": true, "icon-ignore-placement": true } as const;
  return [
    {
      id: "device-alarm",
      type: "circle",
      source: "symbols",
      filter: ["all", is("what", "device"), is("alarming", true)],
      paint: {
        "circle-radius": 9 * scale,
        "circle-opacity": 0,
        "circle-stroke-width": 4 * scale,
        "circle-stroke-color": theme.classes.red.fill,
      },
    },
    {
      id: "device",
      type: "symbol",
      source: "symbols",
      filter: is("what", "device"),
      minzoom: 8,
      layout: {
        "icon-image": ["concat", "device-", ["get", "state"], `/${suffix}`],
        "icon-size": scale,
        ...always,
      },
    },
    {
      // an alarm is never too far away to be seen
      id: "device-far",
      type: "symbol",
      source: "symbols",
      maxzoom: 8,
      filter: ["all", is("what", "device"), is("alarming", true)],
      layout: {
        "icon-image": ["concat", "device-", ["get", "state"], `/${suffix}`],
        "icon-size": scale,
        ...always,
      },
    },
    {
      id: "checkpoint",
      type: "symbol",
      source: "symbols",
      filter: is("what", "checkpoint"),
      minzoom: 7,
      layout: {
        "icon-image": `checkpoint/${suffix}`,
        "icon-size": phone ? 1.25 : scale,
        ...always,
      },
    },
    {
      id: "cluster-disc",
      type: "symbol",
      source: "clusters",
      filter: ["==", ["geometry-type"], "Point"],
      layout: {
        "icon-image": [
          "case",
          is("seen", "together"),
          `disc-together/${suffix}`,
          `disc-other/${suffix}`,
        ],
        "icon-size": scale,
        "text-field": ["to-string", ["get", "number"]],
        "text-font": BOLD,
        "text-size": 13 * scale,
        "text-allow-overlap": true,
        "text-ignore-placement": true,
        ...always,
      },
      paint: {
        "text-color": ["case", is("seen", "together"), theme.dark ? n.land : "#FFFFFF", n.ink],
      },
    } as LayerSpecification,
  ];
}

export function buildStyle(input: MapInput): StyleSpecification {
  const { theme, map, scale } = input;
  const sources = sourcesOf(input);
  const layers: LayerSpecification[] = [
    { id: "land", type: "background", paint: { "background-color": theme.neutral.land } },
    ...(map.context_tiles ? contextLayers(theme, "context", scale) : []),
    ...groundLayers(input),
    ...cellLayers(input),
    ...borderLines(input),
    ...sharedLines(input),
    ...zoneLayers(input),
    ...clusterLayers(input),
    ...labelLayers(input),
    ...symbolLayers(input),
  ];
  return {
    version: 8,
    sources,
    layers: layers.filter((one) => !("source" in one) || String(one.source) in sources),
    transition: { duration: 0, delay: 0 },
  };
}
