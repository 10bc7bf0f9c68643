/** How the sides work together: answers, joint action, solved share, times, by side and month. */
import { createMemo, createSignal, For, Show } from "solid-js";
import type { components } from "../api/types.gen";
import { count, percent, ratio } from "../charts/numbers";
import { createKept } from "./kept";
import { useBorder } from "./model";
import { FailureNote, Head, Scroll } from "./parts.view";

type Evaluation = components["schemas"]["Evaluation"];
type Measure = components["schemas"]["EvaluationMeasure"];
const SHARES = ["answers", "joint", "solved"] as const;
const TIMES = ["handling", "response"] as const;

export function ResultsView() {
  const border = useBorder();
  const { say, frame } = border;
  const told = createKept<Evaluation>(() =>
    border.may("border:read")
      ? `/api/packs/${encodeURIComponent(frame.map().pack)}/border/evaluation`
      : null,
  );
  const months = createMemo(() => {
    const all = (told.value()?.months ?? []).filter((one) => one.cases > 0);
    return [...new Set(all.map((one) => one.month))].sort().reverse();
  });
  const [chosen, setChosen] = createSignal("");
  const month = () => (months().includes(chosen()) ? chosen() : (months()[0] ?? ""));
  const rows = () =>
    (told.value()?.months ?? []).filter((one) => one.month === month() && one.cases > 0);
  return (
    <div class="panel-body results-page">
      <Head title={say().results} />
      <Scroll label={say().results}>
        <FailureNote failure={told.value() ? undefined : told.failure()} retry={told.reload} />
        <Show when={told.value() && months().length === 0}>
          <p class="list-none">
            <b>{say().noResults}</b>
          </p>
        </Show>
        <Show when={months().length > 0}>
          <select
            class="run-choice"
            aria-label={frame.words().periodChoice}
            value={month()}
            onChange={(event) => setChosen(event.currentTarget.value)}
          >
            <For each={months()}>{(one) => <option value={one}>{one.slice(0, 7)}</option>}</For>
          </select>
          <For each={rows()}>
            {(row) => (
              <section data-side={row.side}>
                <h3 class="rule-head">
                  <b>{border.sideName(row.side)}</b> {say().cases(row.cases)}
                </h3>
                <dl class="facts">
                  <For each={SHARES}>
                    {(key) => (
                      <>
                        <dt>{say().measures[key]}</dt>
                        <dd>
                          <b>{percent(row[key].value, 0)}</b> {of(row[key])}
                          {changed(row[key])}
                        </dd>
                      </>
                    )}
                  </For>
                  <For each={TIMES}>
                    {(key) => (
                      <>
                        <dt>{say().measures[key]}</dt>
                        <dd>
                          <b>{hours(row[key].value)}</b>
                          <Show when={row[key].low !== null}>
                            {bracket(`${hours(row[key].low)}–${hours(row[key].high)}`)}
                          </Show>
                          {changed(row[key])}
                        </dd>
                      </>
                    )}
                  </For>
                </dl>
              </section>
            )}
          </For>
        </Show>
      </Scroll>
    </div>
  );

  function of(one: Measure): string {
    if (one.value === null) return "";
    const parts = `${count(one.part)}/${count(one.whole)}`;
    if (one.low === null) return parts;
    return parts + bracket(`${percent(one.low, 0)}–${percent(one.high, 0)}`);
  }
  function bracket(text: string): string {
    return border.frame.words().bracket(text);
  }
  function hours(value: number | null): string {
    if (value === null) return "—";
    return value < 1 ? say().minutes(Math.round(value * 60)) : `${value.toFixed(1)} h`;
  }
  function changed(one: Measure): string {
    return one.change === null
      ? ""
      : ` · ${frame.words().versusPrevious.month} ${ratio(one.change)}`;
  }
}
