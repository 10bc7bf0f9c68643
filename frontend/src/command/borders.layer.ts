/**
 * Borders of LOOK 3: each parent level a casing and an ink line, the shown level thin; the neutral
 * neighbours outside the scope; hover, selection and (on the wall) the white edge of red units.
 */
import type { ExpressionSpecification, LayerSpecification } from "maplibre-gl";
import { levelIndex } from "../state/levels";
import type { Theme } from "../style/theme";
import { CLASS, inside, withFilter } from "./fills.layer";
import { type StyleInput, sourceOf, UNITS } from "./map-style";

interface Pen {
  ink: string;
  width: number;
  /** Width from the second zoom on. */
  close?: readonly [zoom: number, width: number];
  opacity: number;
  casing: { ink: string; width: number; opacity: number } | null;
  dash?: readonly number[];
}

type Role = "city" | "county" | "town" | "village" | "grid";

/** Levels no one named borrow the pen of a known one by their size: coarse like a county, fine like a village. */
function roleOf(level: string, index: number, count: number): Role {
  if (["city", "county", "town", "village", "grid"].includes(level)) return level as Role;
  if (index === 0) return "county";
  return index === count - 1 ? "village" : "town";
}

function pen(theme: Theme, role: Role): Pen {
  const n = theme.neutral;
  if (theme.dark) {
    const pens: Record<Role, Pen> = {
      city: { ink: "#DCE3EA", width: 1.8, opacity: 1, casing: null },
      county: {
        ink: "#8A97A6",
        width: 1.1,
        opacity: 1,
        casing: { ink: "#000000", width: 3.4, opacity: 1 },
      },
      town: { ink: "#000000", width: 0.9, opacity: 1, casing: null },
      village: { ink: "#000000", width: 0.6, opacity: 0.9, casing: null },
      grid: { ink: "#000000", width: 0.6, opacity: 0.8, casing: null, dash: [3, 2] },
    };
    return pens[role];
  }
  const pens: Record<Role, Pen> = {
    city: {
      ink: n.ink,
      width: 2,
      opacity: 1,
      casing: { ink: n.paper, width: 5, opacity: 0.7 },
    },
    county: {
      ink: n.ink2,
      width: 1.2,
      close: [11, 1.6],
      opacity: 1,
      casing: { ink: n.paper, width: 3.4, opacity: 1 },
    },
    town: {
      ink: n.ink,
      width: 0.8,
      close: [12, 1.2],
      opacity: 0.75,
      casing: { ink: n.paper, width: 2.6, opacity: 0.75 },
    },
    village: { ink: n.paper, width: 0.6, close: [12, 1], opacity: 1, casing: null },
    grid: {
      ink: n.paper,
      width: 0.6,
      close: [14, 0.8],
      opacity: 1,
      casing: null,
      dash: [3, 2],
    },
  };
  return pens[role];
}

function penOf(input: StyleInput, level: string): Pen {
  const index = levelIndex(input.map, level);
  return pen(input.theme, roleOf(level, index, input.map.levels.length));
}

/** Width over zoom; fine levels seen from afar get hair lines, so the fills stay readable. */
function width(one: Pen, scale: number, fine: boolean): ExpressionSpecification | number {
  const end = one.close ?? [12, one.width];
  if (!fine && !one.close) return one.width * scale;
  return [
    "interpolate",
    ["linear"],
    ["zoom"],
    7.5,
    (fine ? 0.08 : one.width) * scale,
    fine ? 11 : end[0] - 1,
    one.width * scale,
    Math.max(end[0], 11.5),
    end[1] * scale,
  ];
}

const ROUND = { "line-join": "round", "line-cap": "round" } as const;

/** What lies outside the scope keeps its borders and loses its colour. */
export function outsideLayers(input: StyleInput, parents: readonly string[]): LayerSpecification[] {
  const { theme, map, scopeIndex, scope, scale } = input;
  const outer = parents.slice(0, Math.max(scopeIndex + 1, 1));
  if (scope === "") return [];
  const where = inside(scope);
  const layers: LayerSpecification[] = [];
  for (const level of outer) {
    if (map.levels.length < 2) break;
    layers.push(
      withFilter(
        {
          id: `outside-${level}`,
          type: "fill" as const,
          source: sourceOf(level),
          "source-layer": UNITS,
          paint: { "fill-color": theme.neutral.bg, "fill-antialias": false },
        },
        where && (["!", where] as unknown as ExpressionSpecification),
      ),
    );
  }
  for (const level of outer.toReversed()) {
    layers.push(
      withFilter(
        {
          id: `outside-line-${level}`,
          type: "line" as const,
          source: sourceOf(level),
          "source-layer": UNITS,
          layout: ROUND,
          paint: {
            "line-color": level === outer.at(-1) ? theme.neutral.line2 : theme.neutral.ink4,
            "line-width": (level === outer.at(-1) ? 1 : 1.2) * scale,
          },
        },
        where && (["!", where] as unknown as ExpressionSpecification),
      ),
    );
  }
  return layers;
}

function lines(
  input: StyleInput,
  level: string,
  role: "child" | "parent" | "scope",
): LayerSpecification[] {
  const { theme, scope, scale } = input;
  const base = { type: "line" as const, source: sourceOf(level), "source-layer": UNITS };
  const one = role === "scope" ? pen(theme, "city") : penOf(input, level);
  const where = inside(scope);
  const layers: LayerSpecification[] = [];
  const fine = role !== "scope" && ["village", "grid"].includes(level);
  if (one.casing) {
    layers.push(
      withFilter(
        {
          ...base,
          id: `casing-${level}`,
          layout: ROUND,
          paint: {
            "line-color": one.casing.ink,
            "line-width": one.casing.width * scale,
            "line-opacity": one.casing.opacity,
          },
        },
        where,
      ),
    );
  }
  layers.push(
    withFilter(
      {
        ...base,
        id: `border-${level}`,
        layout: one.dash ? {} : ROUND,
        paint: {
          "line-color": one.ink,
          "line-width": width(one, scale, fine),
          "line-opacity": fine ? fade(level, one.opacity) : one.opacity,
        },
      },
      where,
    ),
  );
  return layers;
}

/** Thousands of white lines seen from afar would wash out the colours they divide. */
function fade(level: string, full: number): ExpressionSpecification {
  const [from, to] = level === "grid" ? [9.5, 12] : [8, 10.5];
  return ["interpolate", ["linear"], ["zoom"], from, 0.12 * full, to, full];
}

/** Child borders, then parents from fine to coarse; the scope's own outline is the heaviest. */
export function borderLayers(input: StyleInput, parents: readonly string[]): LayerSpecification[] {
  const { map, scopeIndex } = input;
  const between = parents.slice(Math.max(scopeIndex, 0));
  const layers = lines(input, input.level, "child");
  if (input.theme.dark) layers.push(redEdge(input));
  for (const level of between.toReversed()) {
    const isScope = levelIndex(map, level) === scopeIndex;
    layers.push(...lines(input, level, isScope ? "scope" : "parent"));
  }
  return layers;
}

function redEdge(input: StyleInput): LayerSpecification {
  const far = ["village", "grid"].includes(input.level) ? 0.7 : 2;
  return withFilter(
    {
      id: "red-edge",
      type: "line" as const,
      source: sourceOf(input.level),
      "source-layer": UNITS,
      layout: ROUND,
      paint: {
        "line-color": "#FFFFFF",
        "line-width": ["case", ["==", CLASS, 5], far * input.scale, 0] as ExpressionSpecification,
      },
    },
    inside(input.scope),
  );
}

const state = (key: string, yes: number, no: number) =>
  ["case", ["boolean", ["feature-state", key], false], yes, no] as ExpressionSpecification;

/** Layers that mark one unit of a level. */
export const HOVER = (level: string) => [`hover-${level}`];
export const SELECTED = (level: string) => [`selected-casing-${level}`, `selected-${level}`];

/**
 * Hover (ink 1.6) and selection (ink 3 on white 7) of the shown level and every coarser one. Invisible until
 * something is marked (the map's view lights them): a line nobody sees is not drawn then, tile by tile.
 */
export function markLayers(input: StyleInput, parents: readonly string[]): LayerSpecification[] {
  const { theme, scale } = input;
  const layers: LayerSpecification[] = [];
  for (const level of [...parents, input.level]) {
    const base = {
      type: "line" as const,
      source: sourceOf(level),
      "source-layer": UNITS,
      layout: ROUND,
    };
    const mark = (id: string, ink: string, key: string, width: number) =>
      layers.push({
        ...base,
        id,
        paint: {
          "line-color": ink,
          "line-width": state(key, width * scale, 0),
          "line-opacity": 0,
        },
      });
    mark(`hover-${level}`, theme.neutral.ink, "hover", 1.6);
    mark(`selected-casing-${level}`, theme.neutral.paper, "sel", 7);
    mark(`selected-${level}`, theme.neutral.ink, "sel", 3);
  }
  return layers;
}
