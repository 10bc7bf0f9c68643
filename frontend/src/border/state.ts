/**
 * The border page as a link: the shared parts of `state/hash`, the tab of a phone, what is open and the
 * place asked about. Pure: `parse(serialise(x))` equals `x`; broken parts fall back. A position found by
 * the device is never written into it.
 */
import { parse as parseShared, serialise as serialiseShared, type ViewState } from "../state/hash";

export type Tab = "here" | "checks" | "alarms" | "map";
export const TABS: readonly Tab[] = ["here", "checks", "alarms", "map"];

/** What the panel is about, with a number for what exists already. */
export type Open =
  | { what: "" }
  | { what: "cluster" | "zone" | "check" | "zone-change" | "check-new"; id: number }
  | { what: "zone-new" | "results" };

/** Units of a place: a position, or the code of a unit. */
export type Asked = { lon: number; lat: number } | { code: string };

export interface BorderState extends ViewState {
  tab: Tab;
  /** What the panel is about, as `openText`; empty: nothing. Text, not objects: parts of a state are replaced whole. */
  open: string;
  /** Place asked about by hand, as `askedText`; empty: none. */
  at: string;
  /** Number of the joint evaluation; 0: the newest of the period. */
  pooled: number;
}

const NUMBERED = ["cluster", "zone", "check", "zone-change", "check-new"] as const;
const PLAIN = ["zone-new", "results"] as const;

export function openOf(text: string | null): Open {
  const [what, number] = (text ?? "").split(".");
  const plain = PLAIN.find((one) => one === what);
  if (plain && number === undefined) return { what: plain };
  const id = Number(number);
  const numbered = NUMBERED.find((one) => one === what);
  return numbered && Number.isSafeInteger(id) && id >= 0 && id < 2 ** 31 && number !== ""
    ? { what: numbered, id }
    : { what: "" };
}

export function askedOf(text: string | null): Asked | null {
  if (!text) return null;
  const parts = text.split(",");
  if (parts.length === 2 && parts.every((one) => /^-?\d{1,3}(\.\d+)?$/.test(one))) {
    const [lon, lat] = parts.map(Number) as [number, number];
    return Math.abs(lon) <= 180 && Math.abs(lat) <= 90 ? { lon, lat } : null;
  }
  return /^[0-9A-Za-z]{1,27}$/.test(text) ? { code: text } : null;
}

export function parse(hash: string): BorderState {
  const parts = new URLSearchParams(hash.replace(/^#/, ""));
  const pooled = Number(parts.get("pooled") ?? 0);
  return {
    ...parseShared(hash),
    tab: TABS.find((one) => one === parts.get("tab")) ?? "here",
    open: openText(openOf(parts.get("open"))),
    at: askedText(askedOf(parts.get("at"))),
    pooled: Number.isSafeInteger(pooled) && pooled > 0 && pooled < 2 ** 31 ? pooled : 0,
  };
}

/** Text of what is open, as the link has it. */
export function openText(open: Open): string {
  return "id" in open ? `${open.what}.${open.id}` : open.what;
}

/** A place as the link and the question have it: to about a metre. */
export function askedText(at: Asked | null): string {
  if (at === null) return "";
  // a place that has a code, too (a device) is asked for by where it is
  return "lon" in at ? `${Number(at.lon.toFixed(5))},${Number(at.lat.toFixed(5))}` : at.code;
}

export function serialise(state: BorderState): string {
  const parts = new URLSearchParams();
  if (state.tab !== "here") parts.set("tab", state.tab);
  if (state.open) parts.set("open", state.open);
  if (state.at) parts.set("at", state.at);
  if (state.pooled > 0) parts.set("pooled", String(state.pooled));
  const own = parts.toString().replaceAll("%2C", ",");
  const shared = serialiseShared(state).replace(/^#/, "");
  const all = [own, shared].filter((one) => one !== "").join("&");
  return all === "" ? "" : `#${all}`;
}
