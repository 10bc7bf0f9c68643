/** The panel of one cell: the same argument as a unit's, and where its exposure comes from. */
import { X } from "lucide";
import { createMemo, For, Show } from "solid-js";
import type { CellWhy } from "../api/models";
import { SeriesChart, windowOf } from "../charts/charts";
import { percent } from "../charts/numbers";
import { PER_YEAR, shortName } from "../state/periods";
import { resolutionOf } from "./cells.model";
import { Chip, Was } from "./chip.view";
import { Icon } from "./icon";
import { useModel } from "./model";
import { SPAN } from "./series.view";
import { Settled } from "./states.view";
import { Exposures, KeyFigures, Reasons } from "./why.view";

const PARTS = 5;

/** Square kilometres with three figures that count. */
export function area(km2: number): string {
  return km2 >= 100 ? km2.toFixed(0) : km2.toPrecision(3);
}

export function CellPanel(props: { onPick: (code: string) => void; onClose: () => void }) {
  const model = useModel();
  const words = model.words;
  const { why, series } = model.cells;
  const period = () => model.view.state.period;
  const shape = createMemo(() => {
    const data = series.data();
    return data ? windowOf(data.points, model.ord(), SPAN[period()], PER_YEAR[period()]) : null;
  });
  return (
    <article class="panel-body" aria-label={words().sheet} data-testid="cell-panel">
      <header class="unit-head">
        <div class="unit-title">
          <h2>{words().cell}</h2>
          <Show when={why.data()}>
            {(one) => (
              <>
                <Chip colour={one().why.colour} />
                <Was now={one().why.colour} before={one().why.previous_colour} />
              </>
            )}
          </Show>
          <button
            type="button"
            class="icon-button end"
            title={words().close}
            aria-label={words().close}
            onClick={props.onClose}
          >
            <Icon node={X} />
          </button>
        </div>
        <p class="unit-sub">
          <span class="code">{model.view.state.cell}</span> ·{" "}
          {words().cellLevel(resolutionOf(model.view.state.cell))}
          <Show when={why.data()}>{(one) => <> · {area(one().area_km2)} km²</>}</Show>
        </p>
      </header>
      <Settled answer={why} what={words().failedWhy} rows={8}>
        {(one) => (
          <>
            <KeyFigures why={one().why} />
            <Reasons why={one().why} />
            <Exposures why={one().why} />
            <Parts cell={one()} onPick={props.onPick} />
          </>
        )}
      </Settled>
      <section class="block">
        <h3>
          <span>{words().spanOf[period()]}</span>
          <span>{words().lastYearSeries}</span>
        </h3>
        <Settled answer={series} what={words().spanOf[period()]} rows={3}>
          {() => (
            <Show when={shape()}>
              {(points) => (
                <SeriesChart
                  shape={points()}
                  words={words()}
                  first={shortName(period(), points().now[0]?.start ?? "")}
                  last={shortName(period(), points().now.at(-1)?.start ?? "")}
                  width={352}
                  height={112}
                />
              )}
            </Show>
          )}
        </Settled>
      </section>
    </article>
  );
}

function Parts(props: { cell: CellWhy; onPick: (code: string) => void }) {
  const model = useModel();
  const words = model.words;
  const shown = () => props.cell.parts.slice(0, PARTS);
  const share = (km2: number) => percent(km2 / props.cell.area_km2, 0);
  return (
    <section class="block cell-parts">
      <h3>
        <span>{words().cellParts}</span>
        <Show when={props.cell.inside < 0.995}>
          <span>{words().cellInside(percent(props.cell.inside, 0))}</span>
        </Show>
      </h3>
      <ul>
        <For each={shown()}>
          {(one) => (
            <li>
              <button type="button" class="link" onClick={() => props.onPick(one.unit.code)}>
                {model.nameOf(one.unit)}
              </button>
              <span class="n">{share(one.km2)}</span>
            </li>
          )}
        </For>
      </ul>
      <p class="note">
        <Show when={props.cell.parts.length > PARTS}>
          {words().cellMore(props.cell.parts.length - PARTS)}
        </Show>
        {words().cellNote}
      </p>
    </section>
  );
}
