/**
 * Names from the label points, rendered from the reader's own fonts (there is no glyph server), and the
 * ▲ ▼ of a class change. A name that does not fit is dropped, never shrunk.
 */
import type { ExpressionSpecification, SymbolLayerSpecification } from "maplibre-gl";
import type { Lang } from "../state/hash";
import { inside, withFilter } from "./fills.layer";
import { LABELS, type StyleInput, sourceOf } from "./map-style";

/** The first entry only carries the weight; the families after it are real. */
const FAMILIES = ["Inter", "Noto Sans SC", "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei"];
export const BOLD = ["Wusetu Bold", ...FAMILIES];
export const REGULAR = ["Wusetu Regular", ...FAMILIES];

/** Name in the language of the page. */
export function nameIn(lang: Lang): ExpressionSpecification {
  const own: ExpressionSpecification = ["get", "name"];
  if (lang !== "en") return own;
  const english: ExpressionSpecification = ["coalesce", ["get", "name_en"], ""];
  return ["case", ["==", english, ""], own, english];
}

const SIZES: Record<string, number> = { city: 15, county: 15, town: 13, village: 11, grid: 11 };

function sizeOf(level: string): number {
  return SIZES[level] ?? 13;
}

/** Whether names of a level show at once or only from a zoom on. */
const FROM: Record<string, number> = { city: 4, county: 6, town: 9.4, village: 11.8, grid: 13.4 };

export function labelLayers(
  input: StyleInput,
  parents: readonly string[],
): SymbolLayerSpecification[] {
  const { theme, level, scope, scopeIndex, scale, map } = input;
  const where = inside(scope);
  const n = theme.neutral;
  const halo = { "text-halo-color": n.paper, "text-halo-width": (theme.dark ? 2 : 1.5) * scale };
  const layers: SymbolLayerSpecification[] = [];

  const base = (one: string) => ({
    type: "symbol" as const,
    source: sourceOf(one),
    "source-layer": LABELS,
  });

  // Marks of change come first: they give way to names and never push one aside.
  for (const [id, text] of [
    ["rise", "▲"],
    ["fall", "▼"],
  ] as const) {
    layers.push(
      withFilter(
        {
          ...base(level),
          id: `change-${id}`,
          layout: {
            "text-field": text,
            "text-font": BOLD,
            "text-size": 11 * scale,
            "text-anchor": "top" as const,
            "text-offset": [0, 0.55],
            "text-padding": 0,
            "text-ignore-placement": true,
          },
          paint: {
            "text-color": n.ink,
            ...halo,
            "text-opacity": [
              "case",
              ["==", ["coalesce", ["feature-state", "d"], 0], id === "rise" ? 1 : -1],
              1,
              0,
            ] as ExpressionSpecification,
          },
        },
        where,
      ),
    );
  }

  // Drawn first = lowest priority: the shown level, then its parents, coarse last. Of one level only the
  // next coarser or itself is bold.
  const chain = [...parents.slice(Math.max(scopeIndex + 1, parents.length > 0 ? 1 : 0)), level];
  for (const one of chain.toReversed()) {
    const bold = one === chain[0] || one === "county";
    layers.push(
      withFilter(
        {
          ...base(one),
          id: `label-${one}`,
          minzoom: one === chain[0] ? 0 : (FROM[one] ?? 9),
          layout: {
            "text-field": nameIn(input.lang),
            "text-font": bold ? BOLD : REGULAR,
            "text-size":
              sizeOf(one) * (theme.name === "wall" && one === "county" ? 19 / 15 : 1) * scale,
            "text-padding": 3,
            "text-max-width": 8,
            "symbol-sort-key": ["coalesce", ["get", "rank"], 0] as ExpressionSpecification,
          },
          paint: { "text-color": n.ink, ...halo },
        },
        where,
      ),
    );
  }
  const sibling = map.levels[Math.max(scopeIndex, 0)]?.id;
  if (scope !== "" && sibling && parents.includes(sibling)) {
    layers.unshift(
      withFilter(
        {
          ...base(sibling),
          id: "label-outside",
          layout: {
            "text-field": nameIn(input.lang),
            "text-font": REGULAR,
            "text-size": 13 * scale,
            "text-letter-spacing": 0.22,
            "text-padding": 6,
          },
          paint: { "text-color": n.ink3, ...halo, "text-halo-color": n.bg },
        },
        where && (["!", where] as unknown as ExpressionSpecification),
      ),
    );
  }
  return layers;
}
