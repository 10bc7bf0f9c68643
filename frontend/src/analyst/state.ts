/**
 * The analyst's question as a link: the shared parts of `state/hash` and the areas, span, hours, kinds and
 * what is compared. Pure: `parse(serialise(x))` equals `x`; broken parts fall back.
 */
import { decodeArea, encodeArea, MOST_LETTERS } from "../draw/encode";
import type { Area } from "../draw/shapes";
import { parse as parseShared, serialise as serialiseShared, type ViewState } from "../state/hash";
import { packHours, unpackHours } from "./hours";

export type Tab = "answer" | "patterns" | "saved";
export const TABS: readonly Tab[] = ["answer", "patterns", "saved"];
export type LocatedBy = "code" | "point" | "address" | "none";
export const LOCATED: readonly LocatedBy[] = ["code", "point", "address", "none"];

export interface AnalystState extends ViewState {
  areas: Area[];
  /** Index of the area the answer is about. */
  active: number;
  /** Kinds asked for; empty: all. */
  kinds: string[];
  /** First day and the day after the last, YYYY-MM-DD; empty: the newest twelve months. */
  from: string;
  to: string;
  /** Hours of the week that count, 0 = Monday 00:00; empty: all. */
  hours: number[];
  /** Ways of locating that count; empty: all. */
  by: LocatedBy[];
  /** How units partly inside count; empty: by rasters where there are some. */
  weights: "" | "area";
  tab: Tab;
  /** Compared with: `a1` an area by index, `2025-03-01_2025-11-01` a span; empty: nothing. */
  vs: string;
  /** Job whose result lies on the map. */
  job: string;
}

const DAY = /^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$/;
const MOST_AREAS = 12;

function day(text: string | null): string {
  if (text === null || !DAY.test(text)) return "";
  return new Date(`${text}T00:00:00Z`).toISOString().startsWith(text) ? text : "";
}

/** A span written as two days; null when it is none. */
export function spanOf(text: string): { from: string; to: string } | null {
  const [from, to] = text.split("_").map(day);
  return from && to && from < to ? { from, to } : null;
}

export function parse(hash: string): AnalystState {
  const parts = new URLSearchParams(hash.replace(/^#/, ""));
  const areas = parts
    .getAll("a")
    .slice(0, MOST_AREAS)
    .flatMap((one) => decodeArea(one) ?? []);
  const active = Number(parts.get("n") ?? 0);
  const span = spanOf(parts.get("span") ?? "");
  const vs = parts.get("vs") ?? "";
  return {
    ...parseShared(hash),
    areas,
    active: Number.isInteger(active) && active >= 0 && active < areas.length ? active : 0,
    kinds: (parts.get("kinds") ?? "").split(".").filter((one) => /^[\w-]{1,40}$/.test(one)),
    from: span?.from ?? "",
    to: span?.to ?? "",
    hours: unpackHours(parts.get("hours") ?? ""),
    by: (parts.get("by") ?? "")
      .split(".")
      .filter((one): one is LocatedBy => LOCATED.includes(one as LocatedBy)),
    weights: parts.get("w") === "area" ? "area" : "",
    tab: TABS.find((one) => one === parts.get("tab")) ?? "answer",
    vs: spanOf(vs) || (/^a\d{1,2}$/.test(vs) && Number(vs.slice(1)) < areas.length) ? vs : "",
    job: /^[\w-]{1,64}$/.test(parts.get("job") ?? "") ? (parts.get("job") as string) : "",
  };
}

/** Hash of a state; areas too large for a link are left out (`tooLarge` tells). */
export function serialise(state: AnalystState): string {
  const parts = new URLSearchParams();
  const kept = state.areas.filter((one) => !tooLarge(one));
  for (const one of kept) parts.append("a", encodeArea(one));
  const active = kept.indexOf(state.areas[state.active] as Area);
  if (active > 0) parts.set("n", String(active));
  if (state.kinds.length > 0) parts.set("kinds", state.kinds.join("."));
  if (state.from && state.to) parts.set("span", `${state.from}_${state.to}`);
  if (state.hours.length > 0) parts.set("hours", packHours(state.hours));
  if (state.by.length > 0) parts.set("by", state.by.join("."));
  if (state.weights) parts.set("w", state.weights);
  if (state.tab !== "answer") parts.set("tab", state.tab);
  if (state.vs) parts.set("vs", state.vs);
  if (state.job) parts.set("job", state.job);
  const shared = serialiseShared(state).replace(/^#/, "");
  const own = parts.toString();
  const all = [own, shared].filter((one) => one !== "").join("&");
  return all === "" ? "" : `#${all}`;
}

/** Whether an area does not fit into a link. */
export function tooLarge(area: Area): boolean {
  return encodeArea(area).length > MOST_LETTERS;
}
