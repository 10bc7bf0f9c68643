/**
 * What is on the screen, as the URL's hash. Pure: `parse(serialise(x))` equals `x`; unknown or broken
 * parts fall back to the default, never throw. Imports types only.
 */
import { PERIODS, type Period } from "../api/models";

export type ThemeName = "light" | "night";
export type Lang = "zh" | "en";
export type PaletteName = "standard" | "stepped";
export type Camera = readonly [longitude: number, latitude: number, zoom: number];

export interface ViewState {
  /** Pack of the map; empty: the first of the manifest. */
  map: string;
  /** Code of the unit looked into; empty: the whole map. */
  scope: string;
  /** Level shown; empty: the default of the scope. */
  level: string;
  kind: string;
  period: Period;
  /** Period index; null: the newest complete one. */
  ord: number | null;
  /** Code of the selected unit; empty: none. */
  unit: string;
  /** Hexagonal cells in place of units. */
  cells: boolean;
  /** H3 index of the selected cell; empty: none. */
  cell: string;
  /** Null: framed on the scope. */
  camera: Camera | null;
  theme: ThemeName;
  lang: Lang;
  palette: PaletteName;
  pattern: boolean;
  /** The table of the map is open. */
  table: boolean;
}

export const DEFAULTS: ViewState = {
  map: "",
  scope: "",
  level: "",
  kind: "overall",
  period: "month",
  ord: null,
  unit: "",
  cells: false,
  cell: "",
  camera: null,
  theme: "light",
  lang: "zh",
  palette: "standard",
  pattern: false,
  table: false,
};

const NAME = /^[\p{L}\p{N}_.:-]{1,64}$/u;

/** Codes of maps without a layout are whatever their owners wrote. */
const CODE = /^[^\p{Cc}]{1,64}$/u;

function code(text: string | null): string {
  return text !== null && CODE.test(text) ? text : "";
}

function name(text: string | null): string {
  return text !== null && NAME.test(text) ? text : "";
}

function oneOf<T extends string>(text: string | null, allowed: readonly T[], otherwise: T): T {
  return allowed.includes(text as T) ? (text as T) : otherwise;
}

function camera(text: string | null): Camera | null {
  const parts = (text ?? "").split("/").map(Number);
  if (parts.length !== 3 || !parts.every(Number.isFinite)) return null;
  const [longitude, latitude, zoom] = parts as [number, number, number];
  if (Math.abs(longitude) > 180 || Math.abs(latitude) > 85 || zoom < 0 || zoom > 22) return null;
  return [longitude, latitude, zoom];
}

/** State of a hash such as `#scope=330110&kind=dispute&ord=23`. */
export function parse(hash: string): ViewState {
  const parts = new URLSearchParams(hash.replace(/^#/, ""));
  const ord = parts.get("ord");
  return {
    map: name(parts.get("map")),
    scope: code(parts.get("scope")),
    level: name(parts.get("level")),
    kind: name(parts.get("kind")) || DEFAULTS.kind,
    period: oneOf(parts.get("period"), PERIODS, DEFAULTS.period),
    ord: ord !== null && /^\d{1,5}$/.test(ord) ? Number(ord) : null,
    unit: code(parts.get("unit")),
    cells: parts.get("cells") === "1",
    cell: /^8[0-9a-f]{14}$/.test(parts.get("cell") ?? "") ? (parts.get("cell") as string) : "",
    camera: camera(parts.get("view")),
    theme: oneOf(parts.get("theme"), ["light", "night"], DEFAULTS.theme),
    lang: oneOf(parts.get("lang"), ["zh", "en"], DEFAULTS.lang),
    palette: oneOf(parts.get("palette"), ["standard", "stepped"], DEFAULTS.palette),
    pattern: parts.get("pattern") === "1",
    table: parts.get("table") === "1",
  };
}

/** Hash of a state; what equals the default is left out, so links stay short. */
export function serialise(state: ViewState): string {
  const parts = new URLSearchParams();
  const keys = [
    "map",
    "scope",
    "level",
    "kind",
    "period",
    "unit",
    "cell",
    "theme",
    "lang",
    "palette",
  ] as const;
  for (const key of keys) {
    if (state[key] !== DEFAULTS[key]) parts.set(key, state[key]);
  }
  if (state.ord !== null) parts.set("ord", String(state.ord));
  if (state.camera) {
    const [longitude, latitude, zoom] = state.camera;
    parts.set("view", `${round(longitude, 5)}/${round(latitude, 5)}/${round(zoom, 2)}`);
  }
  if (state.cells) parts.set("cells", "1");
  if (state.pattern) parts.set("pattern", "1");
  if (state.table) parts.set("table", "1");
  return parts.size === 0 ? "" : `#${parts.toString().replaceAll("%2F", "/")}`;
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
