/**
 * The report as a link: the shared parts of `state/hash`, the length of the period, the indicator ranked and
 * the pane of a phone. Pure: `parse(serialise(x))` equals `x`; broken parts fall back.
 */
import type { Calendar } from "../api/report";
import { parse as parseShared, serialise as serialiseShared, type ViewState } from "../state/hash";

export type Pane = "card" | "league" | "feed";
export const PANES: readonly Pane[] = ["card", "league", "feed"];
export const CALENDARS: readonly Calendar[] = ["day", "month", "year"];

export interface ReportState extends ViewState {
  /** Scene whose indicators are shown; empty: the one of the map. */
  scene: string;
  /** Length of the period. `scope` is the unit, `level` the one ranked, `ord` the period's index. */
  by: Calendar;
  /** What is ranked: an indicator, group or field; empty: the index over all. */
  ind: string;
  pane: Pane;
}

export function parse(hash: string): ReportState {
  const parts = new URLSearchParams(hash.replace(/^#/, ""));
  const ind = parts.get("ind") ?? "";
  const scene = parts.get("scene") ?? "";
  return {
    ...parseShared(hash),
    scene: /^[a-z0-9][a-z0-9-]{0,39}$/.test(scene) ? scene : "",
    by: CALENDARS.find((one) => one === parts.get("by")) ?? "month",
    ind: /^[a-z][a-z0-9_]{0,39}$/.test(ind) ? ind : "",
    pane: PANES.find((one) => one === parts.get("pane")) ?? "card",
  };
}

export function serialise(state: ReportState): string {
  const parts = new URLSearchParams();
  if (state.scene) parts.set("scene", state.scene);
  if (state.by !== "month") parts.set("by", state.by);
  if (state.ind) parts.set("ind", state.ind);
  if (state.pane !== "card") parts.set("pane", state.pane);
  const shared = serialiseShared(state).replace(/^#/, "");
  const all = [parts.toString(), shared].filter((one) => one !== "").join("&");
  return all === "" ? "" : `#${all}`;
}
