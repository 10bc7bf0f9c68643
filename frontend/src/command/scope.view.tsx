/** The panel of a scope while no unit is selected: one sentence, the nine kinds, the trend, the ranking. */
import { createMemo, For, Show } from "solid-js";
import type { Colour, KindSummary, Summary } from "../api/models";
import { ClassBar, RatioInterval, SeriesChart, windowOf } from "../charts/charts";
import { count, ratio } from "../charts/numbers";
import { PER_YEAR, shortName } from "../state/periods";
import { kindName } from "./kind-names";
import { type Model, useModel } from "./model";
import { RankingPanel } from "./ranking.view";
import { Settled } from "./states.view";
import { Actions } from "./why.view";

export function ScopePanel(props: { onPick: (code: string) => void }) {
  const model = useModel();
  const words = model.words;
  return (
    <article class="panel-body" aria-label={words().overview}>
      <header class="unit-head">
        <p class="unit-sub">
          {model.scopeName()} · {model.title(model.map().scene_title)}
        </p>
        <Headline class="headline" />
        <Show when={model.cells.shown().length > 0}>
          <p class="note cell-units">
            {words().cellUnits(words().plural(model.title(model.level().title)))}
          </p>
        </Show>
      </header>
      <Settled answer={model.summary} what={words().failedSummary} rows={9}>
        {(summary) => (
          <>
            <KindTable summary={summary()} />
            <Trend summary={summary()} width={352} height={104} />
          </>
        )}
      </Settled>
      <RankingPanel onPick={props.onPick} rows={8} />
      <p class="note hint">{words().selectUnit}</p>
      <Actions />
    </article>
  );
}

/** The sentence over a map: how many, against before, which kinds. */
export function headline(model: Model, summary: Summary): string[] {
  const words = model.words();
  const name = words.plural(model.title(model.level().title));
  const of = (colour: Colour) => summary.counts.find((one) => one.colour === colour);
  const lines: string[] = [];
  const red = of("red");
  const orange = of("orange");
  const period = words.previousPeriod[model.view.state.period];
  const against = (change: number | null | undefined) => {
    if (change === null || change === undefined) return [];
    if (change > 0) return [words.headlineMore(period, count(change))];
    return change < 0 ? [words.headlineLess(period, count(-change))] : [words.headlineSame(period)];
  };
  if (red && red.count > 0) {
    lines.push(words.headlineRed(count(red.count), name), ...against(red.change));
  } else if (orange && orange.count > 0) {
    lines.push(words.headlineOrange(count(orange.count), name), ...against(orange.change));
  } else if (summary.counts.every((one) => one.colour === "none" || one.count === 0)) {
    lines.push(words.headlineNoData(name)); // nothing known is not the same as nothing wrong
  } else lines.push(words.headlineCalm(name));
  if (model.kind().id === "overall" && ((red?.count ?? 0) > 0 || (orange?.count ?? 0) > 0)) {
    const causes = mainKinds(summary.kinds).map((one) => kindName(model, one));
    if (causes.length > 0) lines.push(words.headlineCause(causes.join(words.and)));
  }
  return lines;
}

/** The one or two kinds with most units at red, then orange. */
export function mainKinds(kinds: readonly KindSummary[]): string[] {
  const weight = (one: KindSummary) => (one.counts.red ?? 0) * 1000 + (one.counts.orange ?? 0);
  return kinds
    .filter((one) => one.kind !== "overall" && weight(one) > 0)
    .sort((a, b) => weight(b) - weight(a))
    .slice(0, 2)
    .map((one) => one.kind);
}

export function Headline(props: { class: string }) {
  const model = useModel();
  const lines = createMemo(() => {
    const summary = model.summary.data();
    return summary ? headline(model, summary) : [];
  });
  const mark = (index: number) => {
    const words = model.words();
    const n = lines().length;
    if (index === n - 1) return words.stop;
    return index === n - 2 && n > 2 ? words.semicolon : words.comma;
  };
  /** Lines that do not fit on their own run on instead. */
  const flows = () => lines().some((line) => line.length > 12);
  return (
    <h2 class={props.class} classList={{ flow: flows() }}>
      <For each={lines()}>
        {(line, index) => (
          <span>
            {line}
            {mark(index())}
          </span>
        )}
      </For>
    </h2>
  );
}

export function KindTable(props: { summary: Summary }) {
  const model = useModel();
  const words = model.words;
  const rows = () =>
    props.summary.kinds
      .filter((one) => one.kind !== "overall")
      .toSorted((a, b) => b.observed - a.observed);
  return (
    <table class="kind-table">
      <thead>
        <tr>
          <th scope="col">{words().kindsTable}</th>
          <th scope="col" class="num">
            {words().count}
          </th>
          <th scope="col">{words().split}</th>
          <th scope="col" colspan="2">
            {words().ratioLastYear[model.view.state.period]}
          </th>
        </tr>
      </thead>
      <tbody>
        <For each={rows()}>
          {(row) => (
            <tr>
              <th scope="row">
                <button
                  type="button"
                  class="kind-name"
                  disabled={model.wall}
                  onClick={() => model.view.go({ kind: row.kind })}
                >
                  {kindName(model, row.kind)}
                </button>
              </th>
              <td class="num">{count(row.observed)}</td>
              <td>
                <ClassBar counts={row.counts} />
              </td>
              <Show
                when={row.change?.ratio !== null && row.change}
                fallback={
                  <td class="note num" colspan="2">
                    {row.change ? words().few : "—"}
                  </td>
                }
              >
                {(change) => (
                  <>
                    <td>
                      <RatioInterval
                        ratio={change().ratio as number}
                        low={change().low}
                        high={change().high}
                      />
                    </td>
                    <td class="num">{ratio(change().ratio)}</td>
                  </>
                )}
              </Show>
            </tr>
          )}
        </For>
      </tbody>
    </table>
  );
}

export function Trend(props: { summary: Summary; width: number; height: number; span?: number }) {
  const model = useModel();
  const words = model.words;
  const period = () => model.view.state.period;
  const shape = createMemo(() =>
    windowOf(
      props.summary.trend,
      model.ord(),
      props.span ?? model.periods().length,
      PER_YEAR[period()],
    ),
  );
  return (
    <Show when={props.summary.trend.length > 0}>
      <section class="block trend">
        <h3>
          <span>
            {words().allEvents(model.scopeName())} {words().trendOf[period()]}
          </span>
          <span>{words().lastYearSeries}</span>
        </h3>
        <SeriesChart
          shape={shape()}
          words={words()}
          first={shortName(period(), shape().now[0]?.start ?? "")}
          last={shortName(period(), shape().now.at(-1)?.start ?? "")}
          width={props.width}
          height={props.height}
        />
      </section>
    </Show>
  );
}
