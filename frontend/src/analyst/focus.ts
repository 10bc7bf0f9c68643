/** The answer as it is about one kind, or about all that are asked for. */
import type { Ask } from "./ask";

export function createFocus(ask: Ask) {
  const kind = () => ask.focus();
  const one = () => (kind() === "overall" ? ask.analysis : ask.detail);
  const risk = () => {
    const answer = ask.analysis.data();
    if (!answer) return undefined;
    if (kind() === "overall") return answer.overall;
    return answer.kinds.find((each) => each.kind === kind());
  };
  const name = () => {
    const found = ask.frame.map().kinds.find((each) => each.id === kind());
    if (kind() !== "overall" && found) return ask.frame.title(found.title);
    const only = ask.view.state.kinds;
    const single = only.length === 1 && ask.frame.map().kinds.find((each) => each.id === only[0]);
    return single ? ask.frame.title(single.title) : ask.say().incidents;
  };
  const change = () => one().data()?.change ?? undefined;
  return {
    kind,
    name,
    risk,
    change,
    /** Months and hours of the span. */
    counts: () => one().data()?.answer,
    /** The same days a year before; undefined where the map knows of no events then, which is not 0. */
    before: () => {
      if (!change()?.last_year) return undefined;
      return (kind() === "overall" ? ask.lastYear : ask.lastYearDetail).data()?.answer;
    },
  };
}

export type Focus = ReturnType<typeof createFocus>;
