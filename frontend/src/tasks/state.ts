/** The address of this page: the shared parts, and which task, which part of the list, which tab. Pure. */
import {
  DEFAULTS,
  parse as parseShared,
  serialise as serialiseShared,
  type ViewState,
} from "../state/hash";
import type { Filter } from "./steps";

export type Tab = "tasks" | "done" | "me";

export interface TasksState extends ViewState {
  /** Number of the open task; 0: none. */
  task: number;
  filter: Filter;
  tab: Tab;
  /** The feedback form of the task is open. */
  form: boolean;
}

const FILTERS: readonly Filter[] = ["all", "late", "new", "near", "check"];
const TABS: readonly Tab[] = ["tasks", "done", "me"];

export function parse(hash: string): TasksState {
  const parts = new URLSearchParams(hash.replace(/^#/, ""));
  const task = parts.get("task") ?? "";
  const filter = parts.get("filter") as Filter;
  const tab = parts.get("tab") as Tab;
  return {
    ...parseShared(hash),
    task: /^[1-9]\d{0,14}$/.test(task) ? Number(task) : 0,
    filter: FILTERS.includes(filter) ? filter : "all",
    tab: TABS.includes(tab) ? tab : "tasks",
    form: parts.get("form") === "1",
  };
}

export function serialise(state: ViewState): string {
  const own = state as TasksState;
  const { map, theme, lang, palette, pattern } = own;
  const shared = serialiseShared({ ...DEFAULTS, map, theme, lang, palette, pattern });
  const parts = new URLSearchParams(shared.replace(/^#/, ""));
  if (own.task > 0) parts.set("task", String(own.task));
  if (own.filter !== "all") parts.set("filter", own.filter);
  if (own.tab !== "tasks") parts.set("tab", own.tab);
  if (own.form) parts.set("form", "1");
  return parts.size === 0 ? "" : `#${parts}`;
}
