import { validateStyleMin } from "@maplibre/maplibre-gl-style-spec";
import { describe, expect, test } from "vitest";
import type { MapInfo } from "../api/models";
import { patternOf } from "../style/patterns";
import { cssVariables, makeTheme } from "../style/theme";
import { HOVER, SELECTED } from "./borders.layer";
import { buildStyle, type StyleInput } from "./map-style";

const level = (id: string, count: number) => ({
  id,
  count,
  first_id: 1,
  tiles: `/tiles/${id}/{z}/{x}/{y}.mvt`,
  min_zoom: 4,
  max_zoom: 12,
  counties: [],
});
const MAP = {
  bounds: [118, 29, 121, 31],
  context_tiles: "/tiles/context/{z}/{x}/{y}.mvt",
  levels: [level("city", 1), level("county", 13), level("town", 196), level("grid", 15000)],
} as unknown as MapInfo;

const input = (patch: Partial<StyleInput> = {}): StyleInput => ({
  map: MAP,
  theme: makeTheme("light", "standard"),
  level: "town",
  scope: "",
  scopeIndex: 0,
  pattern: false,
  scale: 1,
  labels: true,
  lang: "zh",
  ...patch,
});

const ALL = (["light", "night", "wall"] as const).flatMap((name) =>
  (["standard", "stepped"] as const).flatMap((set) =>
    ["", "330110"].flatMap((scope) =>
      ["town", "grid"].map((shown) =>
        input({
          theme: makeTheme(name, set),
          scope,
          scopeIndex: scope === "" ? 0 : 1,
          level: shown,
          pattern: set === "stepped",
          scale: name === "wall" ? 2 : 1,
          lang: set === "stepped" ? "en" : "zh",
          alerts: set === "stepped" ? ["330110010", "330110011"] : [],
        }),
      ),
    ),
  ),
);

describe("map style", () => {
  test.each(ALL)("is valid %#", (one) => {
    const style = buildStyle(one);
    // there is no glyph server on purpose: names are drawn from the reader's own fonts
    const wrong = validateStyleMin(style).filter((error) => !/glyphs/.test(error.message));
    expect(wrong.map((error) => error.message)).toEqual([]);
    expect("glyphs" in style || "sprite" in style).toBe(false);
  });

  test("no value and no address of another host is in it", () => {
    const text = JSON.stringify(buildStyle(input()));
    expect(text).toContain("feature-state");
    for (const found of text.match(/https?:\/\/[^/"]+/g) ?? [])
      expect(found).toBe("http://localhost");
  });

  test("layer ids are unique and sources exist", () => {
    for (const one of ALL) {
      const style = buildStyle(one);
      const ids = style.layers.map((layer) => layer.id);
      expect(new Set(ids).size).toBe(ids.length);
      for (const layer of style.layers) {
        if ("source" in layer) expect(Object.keys(style.sources)).toContain(layer.source);
      }
    }
  });

  test("names are in the language of the page, with the own name where there is no other", () => {
    const text = (lang: "zh" | "en") =>
      buildStyle(input({ lang })).layers.flatMap((layer) =>
        layer.type === "symbol" && !layer.id.startsWith("change-")
          ? [JSON.stringify(layer.layout?.["text-field"])]
          : [],
      );
    expect(new Set(text("zh"))).toEqual(new Set(['["get","name"]']));
    expect(text("en").length).toBe(text("zh").length);
    for (const one of text("en")) expect(one).toContain("name_en");
  });

  test("outside of the scope there is no class", () => {
    const style = buildStyle(input({ scope: "330110", scopeIndex: 1 }));
    const fill = style.layers.find((layer) => layer.id === "fill");
    expect(JSON.stringify(fill && "filter" in fill ? fill.filter : "")).toContain("330110");
    expect(style.layers.some((layer) => layer.id === "outside-county")).toBe(true);
  });

  test("a level without tiles has an empty source, never asked for a tile", () => {
    const bare = { ...MAP, levels: MAP.levels.map((one) => ({ ...one, tiles: "" })) };
    const style = buildStyle(input({ map: { ...bare, context_tiles: null } }));
    const named = MAP.levels.map((one) => `level-${one.id}`);
    expect(Object.keys(style.sources).toSorted()).toEqual(named.toSorted());
    for (const source of Object.values(style.sources)) {
      expect(source).toMatchObject({ minzoom: 24, maxzoom: 24 }); // the page stops at zoom 17
    }
    expect(style.layers.some((layer) => layer.id === "fill")).toBe(true);
  });

  test("open alerts are marked by code, above all names, and only then", () => {
    expect(buildStyle(input()).layers.some((one) => one.id === "alerts")).toBe(false);
    const { layers, sources } = buildStyle(input({ alerts: ["330110010"] }));
    const mark = layers.at(-1);
    expect(mark?.id).toBe("alerts");
    // of a source of their own: that of the fills is not cut up again when they come
    const level = input().level;
    expect(mark && "source" in mark && mark.source).toBe("alerts");
    expect(sources.alerts).toEqual(sources[`level-${level}`]);
    expect(buildStyle(input()).sources.alerts).toBeUndefined();
    expect(mark && "filter" in mark && mark.filter).toEqual([
      "in",
      ["get", "code"],
      ["literal", ["330110010"]],
    ]);
  });

  test("the tiles of the shown level are asked for first", () => {
    expect(Object.keys(buildStyle(input()).sources)[0]).toBe(`level-${input().level}`);
  });

  test("marks of hover and selection cost nothing until something is marked", () => {
    const marks = buildStyle(input()).layers.filter((one) => /^(hover|selected)/.test(one.id));
    expect(marks.length).toBeGreaterThan(3);
    for (const one of marks) expect(one.paint).toMatchObject({ "line-opacity": 0 });
    const { level } = input();
    for (const id of [...HOVER(level), ...SELECTED(level)]) {
      expect(marks.some((one) => one.id === id)).toBe(true);
    }
  });

  test("patterns come and go by being shown: layers of feature states never leave", () => {
    const of = (pattern: boolean) => buildStyle(input({ pattern })).layers;
    expect(of(true).map((one) => one.id)).toEqual(of(false).map((one) => one.id));
    const hidden = of(false).filter((one) => one.layout && "visibility" in one.layout);
    expect(hidden.map((one) => one.id.split("-")[0])).toContain("pattern");
  });
  test("every pattern the style names can be drawn", () => {
    for (const one of ALL) {
      const named = JSON.stringify(buildStyle(one)).match(/"fill-pattern":"[^"]+"/g) ?? [];
      expect(named.length).toBeGreaterThan(0);
      for (const text of named) {
        expect(patternOf(text.split('"')[3] as string)?.size).toBeGreaterThan(8);
      }
    }
    expect(patternOf("nonsense/light")).toBeNull();
  });
});

function luminance(hex: string): number {
  const [r, g, b] = [1, 3, 5].map((i) => {
    const c = Number.parseInt(hex.slice(i, i + 2), 16) / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a: string, b: string): number {
  const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p) as [number, number];
  return (x + 0.05) / (y + 0.05);
}

test.each(["light", "night"] as const)(
  "%s: text on classes and on the page is readable",
  (name) => {
    const theme = makeTheme(name, "standard");
    for (const [colour, ink] of Object.entries(theme.classes)) {
      expect(contrast(ink.fill, ink.on), colour).toBeGreaterThanOrEqual(4.5);
      expect(contrast(theme.neutral.surface, ink.text), colour).toBeGreaterThanOrEqual(4.5);
    }
    for (const ink of [theme.neutral.ink, theme.neutral.ink2, theme.neutral.ink3]) {
      expect(contrast(theme.neutral.surface, ink)).toBeGreaterThanOrEqual(4.5);
    }
  },
);

test("every theme names the same CSS variables", () => {
  const names = (name: "light" | "wall") => Object.keys(cssVariables(makeTheme(name, "stepped")));
  expect(names("wall")).toEqual(names("light"));
  expect(names("light")).toContain("--line-2");
});
