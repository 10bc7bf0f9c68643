/** Steps of a check as lines, oldest first; a report with its checkpoint and place. Pure. */
import type { Check } from "./types";
import type { Say } from "./words";

export interface Step {
  title: string;
  sub: string;
  at: string;
}

export function stepsOf(check: Check, say: Say, sideName: (code: string) => string): Step[] {
  const reports = [...check.reports];
  return check.events.map((event): Step => {
    const side = event.side ? sideName(event.side) : "";
    if (event.step === "hit" || event.step === "no_hit") {
      // reports come in the order of their steps; the side and answer make sure
      const at = reports.findIndex((one) => one.side === event.side && one.answer === event.step);
      const [report] = at >= 0 ? reports.splice(at, 1) : [];
      return {
        title: say.reportOf(report?.checkpoint ?? side, say.steps[event.step] ?? event.step),
        sub: [report?.place, report?.reason].filter((one) => one).join(" · "),
        at: report?.at ?? event.at,
      };
    }
    const step = say.steps[event.step] ?? event.step;
    if (event.step === "accept" || event.step === "decline") {
      const reason = check.sides.find((one) => one.side === event.side)?.reason ?? "";
      return { title: say.stepBy(side, step), sub: reason, at: event.at };
    }
    return { title: step, sub: side, at: event.at };
  });
}
