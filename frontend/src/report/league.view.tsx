/** The league table: ranks with intervals, cut into groups whose ranks cannot be told apart. */
import { For, Show } from "solid-js";
import type { LeagueRow } from "../api/report";
import { RankInterval } from "../charts/charts";
import { percent } from "../charts/numbers";
import { useFrame } from "../command/frame";
import { Empty, Settled } from "../command/states.view";
import { useReport } from "./model";
import { grouped, rankText } from "./numbers";
import { ClassChip, printedValue } from "./parts.view";

export function LeaguePane() {
  const report = useReport();
  const unitWord = () => {
    const info = report.infos().get(report.ranked());
    return info ? report.frame.title(info.unit) : report.say().points;
  };
  const levelName = (level: string) => report.say().levels[level] ?? level;
  const scopeName = () => {
    const one = report.unit();
    if (!one) return report.frame.title(report.frame.map().title);
    if (report.leagueScope() === one.code) return report.frame.nameOf(one);
    const parent = one.ancestors.at(-1);
    return parent ? report.frame.nameOf(parent) : "";
  };
  return (
    <section class="league pane" data-pane="league" aria-label={report.say().rank}>
      <header class="side-head">
        <h2>{report.say().leagueOf(report.rankedName())}</h2>
        <fieldset class="segments" aria-label={report.say().levelChoice}>
          <For each={report.run()?.levels ?? []}>
            {(level) => (
              <button
                type="button"
                class="segment"
                data-level={level}
                aria-pressed={level === report.leagueLevel()}
                onClick={() => report.setLevel(level)}
              >
                {levelName(level)}
              </button>
            )}
          </For>
        </fieldset>
      </header>
      <Settled answer={report.league} what={report.say().failedLeague} rows={10}>
        {(league) => (
          <div classList={{ old: !report.league.fresh() }} data-testid="league">
            <Show
              when={league().rows.length > 1}
              fallback={
                <Empty title={report.say().leagueEmpty}>
                  <p>{report.say().leagueEmptyText}</p>
                </Empty>
              }
            >
              <p class="note">
                {report
                  .say()
                  .leagueIn(scopeName(), levelName(league().level), String(league().rows.length))}
              </p>
              <For each={grouped(league().rows)}>
                {(one) => (
                  <div class="league-group" data-group={one.group ?? "few"}>
                    <Show when={one.group !== null && one.rows.length > 1}>
                      <p class="alike">{report.say().alike(one.rows.length)}</p>
                    </Show>
                    <ol>
                      <For each={one.rows}>
                        {(row) => <Row row={row} of={league().of} unit={unitWord()} />}
                      </For>
                    </ol>
                  </div>
                )}
              </For>
              <p class="note">{report.say().leagueNote(percent(league().interval, 0))}</p>
            </Show>
          </div>
        )}
      </Settled>
    </section>
  );
}

function Row(props: { row: LeagueRow; of: number; unit: string }) {
  const report = useReport();
  const { nameOf } = useFrame();
  const current = () => report.unit()?.code === props.row.code;
  const ranks = () => {
    const { rank, rank_low: low, rank_high: high } = props.row;
    return rank === null || low === null || high === null ? null : { rank, low, high };
  };
  return (
    <li>
      <button
        type="button"
        class="league-row"
        data-code={props.row.code}
        aria-current={current()}
        title={report.say().drill(nameOf(props.row))}
        onClick={() => {
          report.drill(props.row.code);
          report.view.go({ pane: "card" }, "replace");
        }}
      >
        <span class="rank">{rankText(props.row.rank)}</span>
        <span class="name">{nameOf(props.row)}</span>
        <Show when={ranks()} fallback={<span class="range few">{report.say().fewRank}</span>}>
          {(one) => (
            <>
              <RankInterval rank={one().rank} low={one().low} high={one().high} of={props.of} />
              <span class="range">
                {one().low}–{one().high}
              </span>
            </>
          )}
        </Show>
        <span class="value">
          {printedValue(props.row.printed)}
          <Show when={!props.row.suppressed}>
            <span class="hidden"> {props.unit}</span>
          </Show>
        </span>
        <ClassChip id={props.row.class} />
        <Show when={props.row.last_places > 1}>
          <span class="last-places">{report.say().lastPlaces(props.row.last_places)}</span>
        </Show>
      </button>
    </li>
  );
}
