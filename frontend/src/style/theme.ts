/**
 * The typed theme: five colours from the one record (palette.json), ink and paper from LOOK 1. Pure;
 * charts, legend, CSS variables and map layers all read this and nothing else.
 */
import type { Colour } from "../api/models";
import { CLASSES } from "../api/models";
import type { PaletteName, ThemeName } from "../state/hash";
import palette from "./palette.json";

export interface ClassInk {
  /** Fill of the class; the ground under the hatch for no data. */
  fill: string;
  /** Text on the fill. */
  on: string;
  /** Text of the class on the page. */
  text: string;
}

export interface Neutrals {
  ink: string;
  ink2: string;
  ink3: string;
  ink4: string;
  line2: string;
  line: string;
  track: string;
  surface2: string;
  surface: string;
  bg: string;
  land: string;
  /** Halo of labels, casing of borders. */
  paper: string;
}

export interface Theme {
  name: ThemeName | "wall";
  dark: boolean;
  palette: PaletteName;
  classes: Record<Colour, ClassInk>;
  hatch: string;
  neutral: Neutrals;
}

const LIGHT: Neutrals = {
  ink: "#12161C",
  ink2: "#3F4854",
  ink3: "#646E7B",
  ink4: "#A3ABB6",
  line2: "#C8CED6",
  line: "#E3E6EA",
  track: "#E9ECEF",
  surface2: "#F6F7F8",
  surface: "#FFFFFF",
  bg: "#EEF0F2",
  land: "#F4F5F6",
  paper: "#FFFFFF",
};

const DARK: Neutrals = {
  ink: "#F3F5F7",
  ink2: "#B8C0CA",
  ink3: "#87919D",
  ink4: "#515C69",
  line2: "#36404C",
  line: "#1F262F",
  track: "#1C222A",
  surface2: "#151A21",
  surface: "#0F1318",
  bg: "#0A0D11",
  land: "#0E1217",
  paper: "#000000",
};

type SetName = "light" | "wall" | "stepped_light" | "stepped_wall";

export function makeTheme(name: Theme["name"], set: PaletteName): Theme {
  const dark = name !== "light";
  const ground = dark ? "wall" : "light";
  const key: SetName = set === "stepped" ? `stepped_${ground}` : ground;
  const classes = {} as Record<Colour, ClassInk>;
  let hatch = "";
  for (const one of palette.classes) {
    const { fill, on, ground: text, hatch: lines } = one[key];
    classes[one.id as Colour] = { fill, on, text };
    hatch = lines ?? hatch;
  }
  return { name, dark, palette: set, classes, hatch, neutral: dark ? DARK : LIGHT };
}

/** CSS custom properties of a theme, set once on the root element. */
export function cssVariables(theme: Theme): Record<string, string> {
  const out: Record<string, string> = {};
  for (const [name, value] of Object.entries(theme.neutral)) {
    out[`--${name.replace(/(\d)/, "-$1")}`] = value;
  }
  for (const colour of CLASSES) {
    const { fill, on, text } = theme.classes[colour];
    out[`--${colour}`] = fill;
    out[`--${colour}-on`] = on;
    out[`--${colour}-text`] = text;
  }
  out["--hatch"] = theme.hatch;
  return out;
}
