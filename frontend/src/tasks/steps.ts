/**
 * What may be done with a task: the client's side of the state machine, the order of the list, and what a
 * task looks like with the steps that still wait to be sent. Pure. The server alone decides; this only
 * keeps the page from offering what it would refuse.
 */
import type { StepTo, Task, TaskState } from "../api/tasks";

/** The six steps of the bar. */
export const BAR = ["sent", "accepted", "on_site", "feedback", "verified", "closed"] as const;
export type BarState = (typeof BAR)[number];

/** States in which nothing more is to be done. */
export const ENDED: readonly TaskState[] = ["closed", "merged", "declined"];

/** Names of the steps of a task. */
export type StepName = Task["steps"][number]["step"];

export function isOpen(state: TaskState): boolean {
  return !ENDED.includes(state);
}

/** States out of which another desk can take a task. */
const HANDED: readonly TaskState[] = ["sent", "accepted", "on_site", "declined"];

export interface Hands {
  /** May go there and write feedback. */
  work: boolean;
  /** May verify, close, hand over, merge. */
  dispatch: boolean;
}

export type Act =
  | "accept"
  | "decline"
  | "arrive"
  | "report"
  | "verify"
  | "sendBack"
  | "close"
  | "handover"
  | "merge";

/** Acts on a task in this state, the one on the black button first. */
export function acts(state: TaskState, hands: Hands): Act[] {
  const out: Act[] = [];
  if (hands.work) {
    if (state === "sent") out.push("accept", "decline");
    if (state === "accepted") out.push("arrive");
    if (state === "on_site") out.push("report");
  }
  if (hands.dispatch) {
    if (state === "feedback") out.push("verify", "sendBack");
    if (state === "verified") out.push("close");
    if (HANDED.includes(state)) out.push("handover", "merge");
  }
  return out;
}

/** What an act makes of a task. */
export const BECOMES: Record<Exclude<Act, "handover" | "merge">, StepTo> = {
  accept: "accepted",
  decline: "declined",
  arrive: "on_site",
  report: "feedback",
  verify: "verified",
  sendBack: "returned",
  close: "closed",
};

/** State a step leads to: what is sent back is to be looked at again, what is handed over begins anew. */
export function stateAfter(to: StepName): TaskState {
  if (to === "returned") return "accepted";
  return to === "handed_over" ? "sent" : (to as TaskState);
}

/** How far along the bar, 1…6; 0 where the bar says nothing. */
export function reached(state: TaskState): number {
  return BAR.indexOf(state as BarState) + 1;
}

/** A task with what this device has done to it and not sent yet. */
export interface Shown extends Task {
  /** Number of acts that wait. */
  waiting: number;
  /** Number of steps among them. */
  waitingSteps: number;
}

/** A step that waits, as the list needs to know it. */
export interface Waiting {
  task: number;
  /** Empty: something that changes no state, such as a photo. */
  to: StepName | "";
  at: string;
}

/**
 * Tasks another may be merged into: under way, on the same map, those about the same place first, then the
 * nearest of the same kind, then the rest by distance.
 */
export function mergeTargets<T extends Task>(task: Task, all: readonly T[]): T[] {
  const rank = (one: T) => (one.code === task.code ? 0 : one.kind === task.kind ? 1 : 2);
  const far = (one: T) => metres([task.lon, task.lat], [one.lon, one.lat]);
  return all
    .filter((one) => one.id !== task.id && one.pack === task.pack && isOpen(one.state))
    .sort((a, b) => rank(a) - rank(b) || far(a) - far(b) || a.id - b.id);
}

/** The tasks as they will be once everything has been sent. */
export function withWaiting(tasks: readonly Task[], waiting: readonly Waiting[]): Shown[] {
  return tasks.map((task) => {
    const mine = waiting.filter((one) => one.task === task.id);
    const steps = mine.filter((one) => one.to !== "");
    const last = steps.at(-1);
    const state = last ? stateAfter(last.to as StepName) : task.state;
    const made = steps.map((one, index) => ({
      n: task.version + index + 1,
      step: one.to as StepName,
      state: stateAfter(one.to as StepName),
      at: one.at,
      by_role: "",
      note: "",
    }));
    return {
      ...task,
      state,
      overdue: task.overdue && isOpen(state),
      steps: [...task.steps, ...made],
      waiting: mine.length,
      waitingSteps: steps.length,
    };
  });
}

/** A list in which one task is as newly told. */
export function withOne(tasks: readonly Task[], one: Task): Task[] {
  return tasks.map((task) => (task.id === one.id && task.version < one.version ? one : task));
}

/**
 * The list as told, but no task older than it is known: an answer that was under way while a step was
 * taken must not undo it.
 */
export function freshest(known: readonly Task[] | undefined, told: readonly Task[]): Task[] {
  const before = new Map(known?.map((one) => [one.id, one]));
  return told.map((one) => {
    const mine = before.get(one.id);
    return mine && mine.version > one.version ? mine : one;
  });
}

const ORDER = ["red", "orange", "yellow", "blue", "green", "none"];

/** Overdue first, then what is due first; of two due together the worse colour. */
export function sorted(tasks: readonly Shown[]): Shown[] {
  return [...tasks].sort(
    (a, b) =>
      Number(b.overdue) - Number(a.overdue) ||
      a.due_at.localeCompare(b.due_at) ||
      ORDER.indexOf(a.colour) - ORDER.indexOf(b.colour) ||
      a.id - b.id,
  );
}

export type Filter = "all" | "late" | "new" | "near" | "check" | "done";

/** Whether a task belongs to a part of the list. */
export function within(task: Shown, filter: Filter): boolean {
  const open = isOpen(task.state);
  if (filter === "done") return !open;
  if (!open) return false;
  if (filter === "late") return task.overdue;
  if (filter === "new") return task.state === "sent";
  if (filter === "check") return task.state === "feedback" || task.state === "verified";
  return true;
}

const EARTH = 6_371_000;

/** Metres between two places (haversine), longitude before latitude. */
export function metres(a: readonly [number, number], b: readonly [number, number]): number {
  const rad = Math.PI / 180;
  const half = (x: number) => Math.sin(x / 2) ** 2;
  const h =
    half((b[1] - a[1]) * rad) +
    Math.cos(a[1] * rad) * Math.cos(b[1] * rad) * half((b[0] - a[0]) * rad);
  return 2 * EARTH * Math.asin(Math.sqrt(h));
}
