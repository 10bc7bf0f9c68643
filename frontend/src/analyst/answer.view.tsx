/** The answer, read downward: how many, is it more than it should be, when, where inside, against whom. */
import { For, Match, Show, Switch } from "solid-js";
import type { AnalysisAnswer, Risk } from "../api/analysis";
import { count, expectedCount, probability, ratio } from "../charts/numbers";
import { Chip, Swatch } from "../command/chip.view";
import { useFrame } from "../command/frame";
import { Empty, Failed, Skeleton } from "../command/states.view";
import { useAsk } from "./ask";
import { AxisHead, axisOf, RiskInterval } from "./charts";
import { CompareTable, createOther, createOtherAnswer } from "./compare.view";
import { presetSpan } from "./days";
import { createFocus, type Focus } from "./focus";
import { seen } from "./seen";
import { When } from "./when.view";
import { Where } from "./where.view";

export function AnswerPanel() {
  const ask = useAsk();
  const say = ask.say;
  return (
    <Show
      when={ask.active() || ask.moving()}
      fallback={
        <div class="state start">
          <h3>{say().startTitle}</h3>
          <p>{say().startText}</p>
        </div>
      }
    >
      <Answer />
    </Show>
  );
}

function Answer() {
  const ask = useAsk();
  const say = ask.say;
  const { state } = ask.view;
  const { map, nameOf, title, words } = useFrame();
  const focus = createFocus(ask);
  const fresh = () => ask.analysis.fresh() && ask.current() && ask.moving() === null;
  const data = () => (ask.analysis.slow() ? undefined : ask.analysis.data());
  /** While the shape moves the number is the live one; at rest it is that of the answer. */
  const observed = () => {
    const live = ask.live.data();
    if (fresh() || !live) return seen(focus.risk()?.observed_text ?? "—");
    const n = ask.focus() === "overall" ? live.total : live.by_kind?.[ask.focus()];
    if (n === null) return "<5";
    return count(n ?? 0);
  };
  const other = createOther(ask);
  const beside = createOtherAnswer(ask, other);
  const nothing = () => fresh() && ask.analysis.data()?.answer.total === 0;

  return (
    <div class="answer" classList={{ waiting: !fresh() }} aria-busy={!fresh()}>
      <Headline focus={focus} fresh={fresh()} />
      <Figures focus={focus} observed={observed()} />
      <Switch fallback={<Skeleton rows={ask.analysis.slow() ? 8 : 0} />}>
        <Match when={ask.analysis.failure()}>
          <Failed answer={ask.analysis as never} what={say().failedAnswer} />
        </Match>
        <Match when={nothing()}>
          <Empty title={say().sentenceNone(focus.name())}>
            <p>{say().emptyText}</p>
            <div class="ways">
              <button
                type="button"
                class="button"
                onClick={() => {
                  const span = presetSpan("twelve", map().periods.month);
                  ask.view.go({ ...span, hours: [] });
                }}
              >
                {say().wholeYear}
              </button>
              <Show when={state.kinds.length > 0}>
                <button type="button" class="button" onClick={() => ask.view.go({ kinds: [] })}>
                  {say().everyKind}
                </button>
              </Show>
            </div>
          </Empty>
        </Match>
        <Match when={data()}>
          {(found) => (
            <div class="answer-body">
              <Show when={other()} fallback={<KindTable />}>
                {(one) => <CompareTable other={one()} answer={beside} />}
              </Show>
              <p class="rule">
                {found().rule[state.lang]}
                <Show when={found().reference}>
                  {(one) => <> {say().reference(nameOf(one()))}</>}
                </Show>
                <Show when={found().cut}> {say().cut}</Show>
              </p>
              <Show when={found().weights.rule === "raster" || state.weights === "area"}>
                <label class="rule rule-choice">
                  {say().weights}
                  <select
                    name="weights"
                    value={state.weights}
                    onChange={(event) =>
                      ask.view.go({ weights: event.currentTarget.value === "area" ? "area" : "" })
                    }
                  >
                    <option value="">{say().weightsRaster}</option>
                    <option value="area">{say().weightsArea}</option>
                  </select>
                </label>
              </Show>
              <Show when={ask.active()?.shape.kind !== "units" && unplaced(found())}>
                {(n) => <p class="rule">{say().unplaced(count(n()))}</p>}
              </Show>
              <Show when={found().suppressed}>
                <p class="rule">{say().suppressedNote}</p>
              </Show>
              <When focus={focus} />
              <Where focus={focus} />
            </div>
          )}
        </Match>
      </Switch>
      <p class="hidden" role="status" aria-live="polite" data-testid="announcer">
        <Show when={fresh() && focus.risk()}>
          {(risk) => (
            <>
              {`${say().observed} ${risk().observed_text}, ${words().colours[risk().colour]}, ${say().relativeRisk} ${ratio(risk().relative_risk)}`}
            </>
          )}
        </Show>
      </p>
    </div>
  );

  function KindTable() {
    const rows = () => ask.analysis.data()?.kinds ?? [];
    const axis = () => axisOf(rows());
    const before = (kind: string) =>
      ask.analysis.data()?.change?.last_year?.kinds.find((one) => one.kind === kind);
    /** Rate ratio with its exact interval; a few events have none. */
    const versus = (kind: string) => {
      const one = before(kind);
      if (one?.ratio == null) return undefined;
      const high = one.high === null ? "∞" : ratio(one.high);
      return { value: ratio(one.ratio), interval: `${ratio(one.low)}–${high}` };
    };
    const nameOf = (id: string) => {
      const kind = map().kinds.find((one) => one.id === id);
      return kind ? title(kind.title) : id;
    };
    return (
      <table class="kinds-table">
        <thead>
          <tr>
            <th scope="col">{say().kinds}</th>
            <th scope="col" class="num">
              {say().observed}
            </th>
            <th scope="col" class="num">
              {say().expected}
            </th>
            <th scope="col" class="axis-cell">
              <span class="hidden">{words().interval95}</span>
              <AxisHead axis={axis()} />
            </th>
            <th scope="col" class="num">
              {say().risk}
            </th>
            <th scope="col" class="num last">
              {say().sameLastYear}
            </th>
            <th scope="col" class="num last versus">
              {say().versusLastYear}
            </th>
          </tr>
        </thead>
        <tbody>
          <For each={rows()}>
            {(row) => (
              <tr data-kind={row.kind} aria-current={ask.focus() === row.kind ? "true" : undefined}>
                <th scope="row">
                  <span class="named">
                    <Swatch colour={row.colour} />
                    <button
                      type="button"
                      class="kind-name"
                      aria-pressed={ask.focus() === row.kind}
                      onClick={() =>
                        ask.view.go({ kind: ask.focus() === row.kind ? "overall" : row.kind })
                      }
                    >
                      {nameOf(row.kind)}
                    </button>
                  </span>
                </th>
                <td class="num">
                  <b>{seen(row.observed_text)}</b>
                </td>
                <td class="num quiet">{row.suppressed ? "—" : expectedCount(row.expected)}</td>
                <td class="axis-cell">
                  <RiskInterval
                    axis={axis()}
                    value={row.relative_risk}
                    low={row.low}
                    high={row.high}
                    colour={row.colour}
                  />
                </td>
                <td class="num">
                  <b>{ratio(row.relative_risk)}</b>
                  <span class="hidden">
                    {` ${words().interval95} ${ratio(row.low)}–${ratio(row.high)}`}
                  </span>
                </td>
                <td class="num quiet last">{seen(before(row.kind)?.observed_text ?? "—")}</td>
                <td class="num quiet last versus" data-versus={row.kind}>
                  <Show when={versus(row.kind)} fallback="—">
                    {(one) => (
                      <>
                        {one().value} <small>{one().interval}</small>
                      </>
                    )}
                  </Show>
                </td>
              </tr>
            )}
          </For>
        </tbody>
      </table>
    );
  }
}

/** Events without a point in units that share ground with a drawn area: they are not in its count. */
function unplaced(found: AnalysisAnswer): number {
  return found.answer.unplaced.reduce((sum, one) => sum + (one.count ?? 0), 0);
}

function Headline(props: { focus: Focus; fresh: boolean }) {
  const ask = useAsk();
  const say = ask.say;
  const text = (risk: Risk, name: string) => {
    if (risk.suppressed && risk.observed === null) return say().sentenceFew(name);
    if (risk.observed === 0) return say().sentenceNone(name);
    if (risk.relative_risk === null) return say().sentenceCount(name, risk.observed_text);
    return say().sentence(name, ratio(risk.relative_risk));
  };
  return (
    <h2 class="answer-head">
      <Show when={props.focus.risk()} fallback={<span>{props.focus.name()}</span>}>
        {(risk) => (
          <>
            <Chip colour={risk().colour} />
            <span data-testid="sentence">{text(risk(), props.focus.name())}</span>
          </>
        )}
      </Show>
    </h2>
  );
}

function Figures(props: { focus: Focus; observed: string }) {
  const ask = useAsk();
  const say = ask.say;
  const risk = () => props.focus.risk();
  const change = () => props.focus.change()?.last_year;
  return (
    <dl class="answer-figures">
      <div>
        <dt>{say().observed}</dt>
        <dd>
          <b data-testid="observed">{props.observed}</b> {say().events}
        </dd>
      </div>
      <div>
        <dt>{say().relativeRisk}</dt>
        <dd>
          <b data-testid="risk">{ratio(risk()?.relative_risk)}</b>{" "}
          <Show when={risk()?.low !== null && risk()}>
            {(one) => (
              <>
                {ratio(one().low)}–{ratio(one().high)}
              </>
            )}
          </Show>
        </dd>
      </div>
      <div>
        <dt>{say().exceedance}</dt>
        <dd>
          <b>
            <Show when={risk()?.exceedance != null} fallback="—">
              {probability(risk()?.exceedance as number).replace("= ", "")}
            </Show>
          </b>
        </dd>
      </div>
      <div>
        <dt>{say().versusLastYear}</dt>
        <dd>
          <Show when={change()} fallback={<b>—</b>}>
            {(one) => (
              <Show when={one().ratio !== null} fallback={<span>{say().few}</span>}>
                <b>{ratio(one().ratio)}</b> {ratio(one().low)}–
                {one().high === null ? "∞" : ratio(one().high)}
              </Show>
            )}
          </Show>
        </dd>
      </div>
    </dl>
  );
}
