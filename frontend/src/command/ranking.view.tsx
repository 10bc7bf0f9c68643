/** League table: never a rank without its interval. */
import { createSignal, For, Show } from "solid-js";
import type { RankingRow } from "../api/models";
import { RankInterval } from "../charts/charts";
import { count, ratio } from "../charts/numbers";
import { newest } from "../state/periods";
import { Swatch } from "./chip.view";
import { useModel } from "./model";
import { Empty, Settled } from "./states.view";

const FEW = 6;
const MANY = 40;

/** The first rows; the selected unit is always among them, in its place. */
export function pick(rows: readonly RankingRow[], code: string, n: number): RankingRow[] {
  const head = rows.slice(0, n);
  if (code === "" || head.some((row) => row.unit.code === code)) return head;
  const own = rows.find((row) => row.unit.code === code);
  return own ? [...head.slice(0, n - 1), own] : head;
}

export function RankingPanel(props: { onPick: (code: string) => void; rows?: number }) {
  const model = useModel();
  const words = model.words;
  const [all, setAll] = createSignal(false);
  const limit = () => (all() ? MANY : (props.rows ?? FEW));
  const rows = () => pick(model.ranking.data()?.rows ?? [], model.view.state.unit, limit());
  const of = () => model.ranking.data()?.of ?? model.rankingLevel().count;
  const allZero = () => {
    const found = model.ranking.data()?.rows ?? [];
    return found.length > 0 && found.every((row) => row.observed === 0);
  };
  return (
    <section class="block ranking">
      <h3>
        <span>{words().rankingIn(model.scopeName())}</span>
        <span>
          {model.title(model.rankingLevel().title)} {words().rankNote(count(of()))}
        </span>
      </h3>
      <Settled answer={model.ranking} what={words().ranking} rows={limit()}>
        {() => (
          <Show
            when={!allZero()}
            fallback={
              <Empty
                title={words().emptyTitle(
                  words().thisPeriod[model.view.state.period],
                  model.title(model.kind().title),
                )}
              >
                <p>{words().emptyText(model.scopeName(), count(model.ranking.data()?.total))}</p>
                <p>{words().emptyMore}</p>
                <div class="ways">
                  <button
                    type="button"
                    class="button"
                    onClick={() => {
                      const years = model.map().periods.year;
                      model.view.go({ period: "year", ord: newest(years) });
                    }}
                  >
                    {words().seeYear}
                  </button>
                  <button
                    type="button"
                    class="button"
                    onClick={() => model.view.go({ kind: model.map().kinds[0]?.id ?? "overall" })}
                  >
                    {words().seeOverall}
                  </button>
                </div>
              </Empty>
            }
          >
            <Show
              when={rows().length > 0}
              fallback={
                <Empty title={words().emptyRanking}>
                  <p>{words().emptyRankingText}</p>
                </Empty>
              }
            >
              <RankList rows={rows()} of={of()} onPick={props.onPick} />
              <p class="note row-note">
                {words().rankOverlap}
                <Show when={!all() && (model.ranking.data()?.total ?? 0) > limit() && !model.wall}>
                  <button type="button" class="link" onClick={() => setAll(true)}>
                    {words().allRows}
                  </button>
                </Show>
              </p>
            </Show>
          </Show>
        )}
      </Settled>
    </section>
  );
}

export function RankList(props: {
  rows: readonly RankingRow[];
  of: number;
  onPick: (code: string) => void;
}) {
  const model = useModel();
  return (
    <ol class="ranks">
      <For each={props.rows}>
        {(row) => (
          <li>
            <button
              type="button"
              class="rank-row"
              data-code={row.unit.code}
              aria-current={row.unit.code === model.view.state.unit}
              onClick={() => props.onPick(row.unit.code)}
            >
              <span class="rank">{row.rank}</span>
              <Swatch colour={row.colour} />
              <span class="name">{model.nameOf(row.unit)}</span>
              <RankInterval rank={row.rank} low={row.low} high={row.high} of={props.of} />
              <span class="range">
                {row.low}–{row.high}
              </span>
              <span class="theta">{ratio(row.theta)}</span>
            </button>
          </li>
        )}
      </For>
    </ol>
  );
}
