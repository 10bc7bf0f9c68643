/** All periods of the selected unit up to the one shown, beside the year before: the desk's and the wall's. */
import { createMemo, Show } from "solid-js";
import { SeriesChart, windowOf } from "../charts/charts";
import { PER_YEAR, shortName } from "../state/periods";
import { useModel } from "./model";

/** Periods shown. */
export const SPAN = { month: 12, quarter: 8, year: 10 } as const;

export function UnitSeries(props: { height: number }) {
  const model = useModel();
  const period = () => model.view.state.period;
  const shape = createMemo(() => {
    const data = model.series.data();
    return data ? windowOf(data.points, model.ord(), SPAN[period()], PER_YEAR[period()]) : null;
  });
  return (
    <Show when={shape()}>
      {(points) => (
        <SeriesChart
          shape={points()}
          words={model.words()}
          first={shortName(period(), points().now[0]?.start ?? "")}
          last={shortName(period(), points().now.at(-1)?.start ?? "")}
          width={352}
          height={props.height}
        />
      )}
    </Show>
  );
}
