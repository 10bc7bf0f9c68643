/** Which alert is spoken of, which come to the wall, since when the loop is counted. Pure. */
import type { Alert, Loop } from "../api/tasks";

/** Of several: open ones first, then the newest. */
function first(alerts: readonly Alert[]): Alert | undefined {
  return [...alerts].sort(
    (a, b) =>
      Number(a.state === "closed") - Number(b.state === "closed") ||
      b.opened_at.localeCompare(a.opened_at) ||
      b.id - a.id,
  )[0];
}

/** The alert of a unit and a kind; where all kinds are shown together, the foremost of its alerts. */
export function alertShown(
  alerts: readonly Alert[],
  unit: string,
  kind: string,
): Alert | undefined {
  const own = alerts.filter((one) => one.code === unit);
  return (
    first(own.filter((one) => one.kind === kind)) ?? (kind === "overall" ? first(own) : undefined)
  );
}

/** Codes of units of a level to be marked, each once, in order; all kinds together: of any kind. */
export function marked(alerts: readonly Alert[], kind: string, level: string): string[] {
  const some = alerts.filter(
    (one) =>
      one.state === "open" && one.level === level && (kind === "overall" || one.kind === kind),
  );
  return [...new Set(some.map((one) => one.code))].sort();
}

/** Its task that is under way, if any, else the newest one. */
export function taskOf(alert: Alert): Alert["tasks"][number] | undefined {
  const under = (state: string) => !["closed", "merged", "declined"].includes(state);
  return alert.tasks.find((one) => under(one.state)) ?? alert.tasks.at(-1);
}

/** Whether a task may be made of it: open, and none is under way. */
export function canMake(alert: Alert): boolean {
  const task = taskOf(alert);
  return alert.state === "open" && (!task || ["closed", "merged", "declined"].includes(task.state));
}

/** The newest of the urgent: what came last, as many as there are rows. */
export function feedRows(alerts: readonly Alert[], rows: number): Alert[] {
  return [...alerts]
    .sort((a, b) => b.opened_at.localeCompare(a.opened_at) || b.id - a.id)
    .slice(0, rows);
}

/** First day of the month on the map's own calendar. */
export function monthStart(now: Date, zone: string): string {
  const day = new Intl.DateTimeFormat("en-CA", { timeZone: zone }).format(now);
  return `${day.slice(0, 7)}-01`;
}

/** The five bars: alerts, and how many tasks came how far. */
export function loopBars(loop: Loop): { step: LoopStep; n: number }[] {
  return [
    { step: "alerts", n: loop.alerts },
    { step: "tasks", n: loop.tasks },
    { step: "accepted", n: loop.accepted },
    { step: "acted", n: loop.acted },
    { step: "closed", n: loop.closed },
  ];
}
export type LoopStep = "alerts" | "tasks" | "accepted" | "acted" | "closed";
