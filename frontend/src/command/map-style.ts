/**
 * The whole map style as a pure function of what is shown (LOOK 3). Values never enter it: fills read
 * the feature state `c` (class 0…5), which the page sets from the packed values.
 */
import type { LayerSpecification, StyleSpecification } from "maplibre-gl";
import type { CellInfo, MapInfo } from "../api/models";
import { sourceBounds } from "../state/bounds";
import type { Lang } from "../state/hash";
import { levelIndex } from "../state/levels";
import type { Theme } from "../style/theme";
import { alertLayers, alertSources } from "./alerts.layer";
import { borderLayers, markLayers, outsideLayers } from "./borders.layer";
import { cellLayers, cellMarkLayers, cellSources } from "./cells.layer";
import { contextLabelLayers, contextLayers } from "./context.layer";
import { fillLayers } from "./fills.layer";
import { labelLayers } from "./labels.layer";

export interface StyleInput {
  map: MapInfo;
  theme: Theme;
  /** Level shown. */
  level: string;
  /** Code of the scope; empty: the whole map. */
  scope: string;
  /** Index of the scope's level, -1 for the whole map. */
  scopeIndex: number;
  pattern: boolean;
  /** 1 on a desk; on a wall the page is enlarged and the map's pens with it. */
  scale: number;
  labels: boolean;
  /** Language of the names on the map; a unit without an English name keeps its own. */
  lang: Lang;
  /** Cells shown in place of units; none: units. */
  cells?: readonly CellInfo[];
  /** Codes of units of the level with an open alert. */
  alerts?: readonly string[];
}

export const UNITS = "units";
export const LABELS = "labels";

/** Name of a level's source. */
export function sourceOf(level: string): string {
  return `level-${level}`;
}

const CONTEXT = "context";

export function buildStyle(input: StyleInput): StyleSpecification {
  const { map, theme } = input;
  const origin = typeof location === "undefined" ? "http://localhost" : location.origin;
  const sources: StyleSpecification["sources"] = {};
  // Tiles are asked for in this order: what is coloured comes first.
  const shown = map.levels.filter((one) => one.id === input.level);
  for (const level of [...shown, ...map.levels.filter((one) => one.id !== input.level)]) {
    if (level.tiles === "") {
      // Not built yet: a source that is there for whoever asks for it, and never asks for a tile.
      const none = { tiles: [`${origin}/`], minzoom: 24, maxzoom: 24 };
      sources[sourceOf(level.id)] = { type: "vector", ...none };
      continue;
    }
    sources[sourceOf(level.id)] = {
      type: "vector",
      tiles: [new URL(level.tiles, origin).href.replaceAll("%7B", "{").replaceAll("%7D", "}")],
      minzoom: level.min_zoom,
      maxzoom: level.max_zoom,
      bounds: sourceBounds(map.bounds),
    };
  }
  const layers: LayerSpecification[] = [
    { id: "land", type: "background", paint: { "background-color": theme.neutral.land } },
  ];
  if (map.context_tiles) {
    sources[CONTEXT] = {
      type: "vector",
      tiles: [
        new URL(map.context_tiles, origin).href.replaceAll("%7B", "{").replaceAll("%7D", "}"),
      ],
      maxzoom: 10,
    };
    layers.push(...contextLayers(theme, CONTEXT, input.scale));
  }
  const parents = map.levels.slice(0, levelIndex(map, input.level)).map((one) => one.id);
  const cells = input.cells ?? [];
  Object.assign(sources, cellSources(cells, map.bounds, origin));
  layers.push(
    ...outsideLayers(input, parents),
    ...(cells.length > 0 ? cellLayers(input, cells) : fillLayers(input)),
    ...borderLayers(input, parents),
    ...markLayers(input, parents),
    ...cellMarkLayers(input, cells),
  );
  if (input.labels) {
    Object.assign(sources, alertSources(input, sources[sourceOf(input.level)]));
    if (map.context_tiles) layers.push(...contextLabelLayers(input, CONTEXT));
    layers.push(...labelLayers(input, parents), ...alertLayers(input));
  }
  // Under cells the borders of the shown level would be a second net; its parents' stay.
  const netted = cells.length > 0 && parents.length > 0 ? input.level : "";
  const drawn = layers.filter(
    (one) =>
      (!("source" in one) || String(one.source) in sources) &&
      one.id !== `border-${netted}` &&
      one.id !== `casing-${netted}`,
  );
  return { version: 8, sources, layers: drawn, transition: { duration: 0, delay: 0 } };
}
