/** Hours of the week, 0 = Monday 00:00–01:00, as 28 letters of six bits each. Pure. */

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
export const HOURS = 168;

export function packHours(hours: readonly number[]): string {
  const set = new Set(hours);
  let out = "";
  for (let i = 0; i < HOURS; i += 6) {
    let value = 0;
    for (let bit = 0; bit < 6; bit++) if (set.has(i + bit)) value += 2 ** bit;
    out += LETTERS[value];
  }
  return out;
}

/** Hours of a text; empty (= all) when it is broken, names none or names all of them. */
export function unpackHours(text: string): number[] {
  if (text.length !== HOURS / 6) return [];
  const out: number[] = [];
  for (const [index, letter] of [...text].entries()) {
    const value = LETTERS.indexOf(letter);
    if (value < 0) return [];
    for (let bit = 0; bit < 6; bit++) if (value & (2 ** bit)) out.push(index * 6 + bit);
  }
  return out.length === HOURS ? [] : out;
}

const week = (keep: (day: number, hour: number) => boolean): number[] =>
  Array.from({ length: HOURS }, (_, i) => i).filter((i) => keep(Math.floor(i / 24), i % 24));

/** Spans of the week that have a name of their own in the dictionary. */
export const PRESETS = {
  all: [] as number[],
  day: week((_, hour) => hour >= 6 && hour < 18),
  night: week((_, hour) => hour >= 18 || hour < 6),
  small: week((_, hour) => hour < 6),
  weekdays: week((day) => day < 5),
  weekend: week((day) => day >= 5),
} as const;

export type Preset = keyof typeof PRESETS;

/** Name of a choice of hours, or null when it has none. */
export function presetOf(hours: readonly number[]): Preset | null {
  const text = packHours(hours);
  const found = Object.entries(PRESETS).find(([, one]) => packHours(one) === text);
  return (found?.[0] as Preset | undefined) ?? null;
}
