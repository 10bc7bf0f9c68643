/**
 * Hexagonal cells in place of units: one source and one set of layers per resolution, each at its own
 * zooms. Colours are feature states (`cells.paint`); "no data" is a class here too.
 */
import type { ExpressionSpecification, LayerSpecification, SourceSpecification } from "maplibre-gl";
import type { CellInfo } from "../api/models";
import { COLOURS } from "../api/models";
import { sourceBounds } from "../state/bounds";
import { OVERLAY } from "../style/patterns";
import { CLASS, hiddenUnless, inside, withFilter } from "./fills.layer";
import { type StyleInput, sourceOf, UNITS } from "./map-style";

export const CELLS = "cells";

/** Layer of the units below the cells. */
export const GROUND = "cell-ground";

/** Name of a resolution's source. */
export function cellSourceOf(res: number): string {
  return `cells-${res}`;
}

/** Name of a resolution's fill layer: what is under the pointer is asked of it. */
export function cellFillOf(res: number): string {
  return `cell-fill-${res}`;
}

/** Resolution shown at a zoom; null where there is none. */
export function resolutionAt(cells: readonly CellInfo[], zoom: number): CellInfo | null {
  return cells.find((one) => one.min_zoom <= zoom && zoom < one.max_zoom + 1) ?? null;
}

export function cellSources(
  cells: readonly CellInfo[],
  bounds: [number, number, number, number],
  origin: string,
): Record<string, SourceSpecification> {
  const reach = 0.1; // cells hang over the edge of the map
  return Object.fromEntries(
    cells.map((one) => [
      cellSourceOf(one.res),
      {
        type: "vector" as const,
        tiles: [new URL(one.tiles, origin).href.replaceAll("%7B", "{").replaceAll("%7D", "}")],
        minzoom: one.tiles_min_zoom,
        maxzoom: one.tiles_max_zoom,
        bounds: sourceBounds(bounds, reach),
      },
    ]),
  );
}

const state = (key: string, yes: number): ExpressionSpecification => [
  "case",
  ["boolean", ["feature-state", key], false],
  yes,
  0,
];

/** The ground of the map, then the cells of every resolution. */
export function cellLayers(input: StyleInput, cells: readonly CellInfo[]): LayerSpecification[] {
  const { theme, scope, pattern, scale } = input;
  const where = inside(scope);
  const tone = theme.dark ? "dark" : "light";
  const colours = COLOURS.slice(1).flatMap((colour, index) => [
    index + 1,
    theme.classes[colour].fill,
  ]);
  const layers: LayerSpecification[] = [
    withFilter(
      {
        // not `fill`: a layer that turns from data to one colour breaks on states of older tiles
        id: GROUND,
        type: "fill" as const,
        source: sourceOf(input.level),
        "source-layer": UNITS,
        paint: { "fill-color": theme.neutral.track, "fill-antialias": false },
      },
      where,
    ),
  ];
  for (const one of cells) {
    const base = {
      source: cellSourceOf(one.res),
      "source-layer": CELLS,
      minzoom: one.min_zoom,
      maxzoom: Math.min(one.max_zoom + 1, 24),
    };
    const fill = (id: string, paint: object) =>
      withFilter({ ...base, id, type: "fill" as const, paint } as LayerSpecification, where);
    layers.push(
      fill(cellFillOf(one.res), {
        "fill-color": ["match", CLASS, 0, theme.classes.none.fill, ...colours, theme.neutral.track],
        "fill-antialias": false,
      }),
      fill(`cell-none-${one.res}`, {
        "fill-pattern": `hatch/${tone}`,
        "fill-opacity": ["case", ["==", CLASS, 0], 1, 0],
        "fill-antialias": false,
      }),
    );
    for (const colour of OVERLAY) {
      const paint = {
        "fill-pattern": `${colour}/${tone}`,
        "fill-opacity": ["case", ["==", CLASS, COLOURS.indexOf(colour)], 1, 0],
        "fill-antialias": false,
      };
      layers.push({ ...fill(`cell-${colour}-${one.res}`, paint), ...hiddenUnless(pattern) });
    }
    layers.push(
      withFilter(
        {
          ...base,
          id: `cell-line-${one.res}`,
          type: "line" as const,
          paint: {
            "line-color": theme.dark ? "#000000" : theme.neutral.paper,
            "line-width": 0.6 * scale,
            "line-opacity": 0.7,
          },
        } as LayerSpecification,
        where,
      ),
    );
  }
  return layers;
}

/** Hover and selection, above the borders of units. */
export function cellMarkLayers(
  input: StyleInput,
  cells: readonly CellInfo[],
): LayerSpecification[] {
  const { theme, scale } = input;
  return cells.flatMap((one) => {
    const line = (id: string, ink: string, width: ExpressionSpecification): LayerSpecification => ({
      id: `${id}-${one.res}`,
      type: "line",
      source: cellSourceOf(one.res),
      "source-layer": CELLS,
      minzoom: one.min_zoom,
      maxzoom: Math.min(one.max_zoom + 1, 24),
      layout: { "line-join": "round", "line-cap": "round" },
      paint: { "line-color": ink, "line-width": width },
    });
    return [
      line("cell-hover", theme.neutral.ink, state("hover", 1.6 * scale)),
      line("cell-selected-casing", theme.neutral.paper, state("sel", 6 * scale)),
      line("cell-selected", theme.neutral.ink, state("sel", 2.6 * scale)),
    ];
  });
}
