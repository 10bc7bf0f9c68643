/** Which joint evaluation is shown. Pure. */
import type { BorderState } from "./state";
import type { PooledRun } from "./types";

/** The one named, else the newest of the period's length, else the newest at all. */
export function currentPeriod(
  runs: readonly PooledRun[],
  state: Pick<BorderState, "pooled" | "period">,
): PooledRun | undefined {
  const named = runs.find((one) => one.id === state.pooled);
  if (named) return named;
  const newest = (some: readonly PooledRun[]) =>
    some.reduce<PooledRun | undefined>(
      (best, one) =>
        !best || one.from > best.from || (one.from === best.from && one.id > best.id) ? one : best,
      undefined,
    );
  return newest(runs.filter((one) => one.period === state.period)) ?? newest(runs);
}
