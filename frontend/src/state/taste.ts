/**
 * What a reader chose for their eyes (theme, colour set, patterns), kept on the device: a link that says
 * nothing of it is shown as they like it. What a link says comes first.
 */
import { DEFAULTS, type ViewState } from "./hash";

const KEY = "wusetu.look";
export type Look = Pick<ViewState, "theme" | "palette" | "pattern">;
const PARTS = ["theme", "palette", "pattern"] as const;

/** Only what is known and well-formed of a kept text. Pure. */
export function readLook(text: string | null): Partial<Look> {
  let found: unknown;
  try {
    found = JSON.parse(text ?? "{}");
  } catch {
    return {};
  }
  const given = (typeof found === "object" && found !== null ? found : {}) as Partial<Look>;
  const look: Partial<Look> = {};
  if (given.theme === "night" || given.theme === "light") look.theme = given.theme;
  if (given.palette === "stepped" || given.palette === "standard") look.palette = given.palette;
  if (typeof given.pattern === "boolean") look.pattern = given.pattern;
  return look;
}

/** A state as the reader likes to see it, where its link says nothing. Pure. */
export function withLook<S extends ViewState>(state: S, hash: string, look: Partial<Look>): S {
  const said = new URLSearchParams(hash.replace(/^#/, ""));
  const silent = PARTS.filter((part) => !said.has(part) && look[part] !== undefined);
  return { ...state, ...Object.fromEntries(silent.map((part) => [part, look[part]])) };
}

/** What is kept on this device; nothing where it keeps nothing. */
export function keptLook(): Partial<Look> {
  try {
    return readLook(localStorage.getItem(KEY));
  } catch {
    return {};
  }
}

/** Keep what of a change is about the look. */
export function keepLook(change: Partial<ViewState>): void {
  const chosen = PARTS.filter((part) => change[part] !== undefined);
  if (chosen.length === 0) return;
  const next = { ...keptLook(), ...Object.fromEntries(chosen.map((part) => [part, change[part]])) };
  const plain = PARTS.every((part) => (next[part] ?? DEFAULTS[part]) === DEFAULTS[part]);
  try {
    if (plain) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, JSON.stringify(next));
  } catch {
    // a browser that keeps nothing has the link
  }
}
