/** Fills of the shown level: class colour by feature state, hatch for no data, patterns on request. */
import type { ExpressionSpecification, FilterSpecification, LayerSpecification } from "maplibre-gl";
import { COLOURS } from "../api/models";
import { OVERLAY } from "../style/patterns";
import { type StyleInput, sourceOf, UNITS } from "./map-style";

/** Class of a unit, -1 until its value has come. */
export const CLASS: ExpressionSpecification = ["coalesce", ["feature-state", "c"], -1];

/** Units below a scope (a parent's code is a prefix); null: everything. */
export function inside(scope: string): ExpressionSpecification | null {
  if (scope === "") return null;
  return ["==", ["slice", ["get", "code"], 0, scope.length], scope];
}

export function withFilter<T extends object>(
  layer: T,
  filter: ExpressionSpecification | null,
): T & { filter?: FilterSpecification } {
  return filter ? { ...layer, filter } : layer;
}

/**
 * A layer of feature states is hidden, never taken away: a tile that comes from a worker afterwards would
 * look for it in vain.
 */
export function hiddenUnless(shown: boolean): { layout?: { visibility: "none" } } {
  return shown ? {} : { layout: { visibility: "none" } };
}

export function fillLayers(input: StyleInput): LayerSpecification[] {
  const { theme, scope, level, pattern } = input;
  const where = inside(scope);
  const base = { type: "fill" as const, source: sourceOf(level), "source-layer": UNITS };
  const colours = COLOURS.slice(1).flatMap((colour, index) => [
    index + 1,
    theme.classes[colour].fill,
  ]);
  const layers: LayerSpecification[] = [
    withFilter(
      {
        ...base,
        id: "fill",
        paint: {
          "fill-color": [
            "match",
            CLASS,
            0,
            theme.classes.none.fill,
            ...colours,
            theme.neutral.track,
          ] as unknown as ExpressionSpecification,
          "fill-antialias": false,
        },
      },
      where,
    ),
    withFilter(
      {
        ...base,
        id: "fill-none",
        paint: {
          "fill-pattern": `hatch/${theme.dark ? "dark" : "light"}`,
          "fill-opacity": ["case", ["==", CLASS, 0], 1, 0] as ExpressionSpecification,
          "fill-antialias": false,
        },
      },
      where,
    ),
  ];
  for (const colour of OVERLAY) {
    const number = COLOURS.indexOf(colour);
    layers.push(
      withFilter(
        {
          ...base,
          id: `pattern-${colour}`,
          ...hiddenUnless(pattern),
          paint: {
            "fill-pattern": `${colour}/${theme.dark ? "dark" : "light"}`,
            "fill-opacity": ["case", ["==", CLASS, number], 1, 0] as ExpressionSpecification,
            "fill-antialias": false,
          },
        },
        where,
      ),
    );
  }
  return layers;
}
