/** One cluster: each alone above the pooled row, on one axis; then what it rests on. */
import { createMemo, For, Show } from "solid-js";
import { count, expectedCount, linear, ratio } from "../charts/numbers";
import { SeenMark } from "./cluster-mark.view";
import { clusterName, periodText } from "./clusters.view";
import { pText } from "./format";
import { useBorder } from "./model";
import { Head, Scroll } from "./parts.view";
import { StartCheck } from "./start.view";
import type { Cluster, ClusterSide } from "./types";

export function ClusterView(props: { number: number }) {
  const border = useBorder();
  const { say } = border;
  const one = createMemo(() => border.clusters().find((each) => each.number === props.number));
  return (
    <div class="panel-body cluster-page">
      <Show
        when={one()}
        fallback={
          <>
            <Head title={say().clusters(border.clusters().length)} />
            <p class="state">{border.clustersKept.value() ? say().clusterGone : say().loading}</p>
          </>
        }
      >
        {(each) => (
          <>
            <Head title={say().seen[each().seen]} />
            <Scroll label={say().clusters(border.clusters().length)}>
              <Told cluster={each()} />
              <Rows cluster={each()} />
              <Basis cluster={each()} />
            </Scroll>
            <StartCheck />
          </>
        )}
      </Show>
    </div>
  );
}

function Told(props: { cluster: Cluster }) {
  const border = useBorder();
  const { say, frame } = border;
  const kind = () => {
    const found = frame.map().kinds.find((one) => one.id === props.cluster.kind);
    return found ? frame.title(found.title) : props.cluster.kind;
  };
  return (
    <div class="cluster-told">
      <h3>
        <SeenMark seen={props.cluster.seen} size={28} />
        {clusterName(props.cluster, border.sideName)} {kind()}
      </h3>
      <p>
        {say().seenText[props.cluster.seen]}
        {say().timesExpected(ratio(props.cluster.relative_risk))}
        {frame.words().bracket(`${ratio(props.cluster.low)}–${ratio(props.cluster.high)}`)}
      </p>
    </div>
  );
}

const [LEFT, RIGHT] = [4, 132];

function Rows(props: { cluster: Cluster }) {
  const border = useBorder();
  const { say } = border;
  const sides = () => props.cluster.sides;
  const most = () => Math.max(props.cluster.high * props.cluster.expected, 1) * 1.04;
  const x = () => linear(0, most(), LEFT, RIGHT);
  return (
    <table class="alone-table">
      <thead>
        <tr>
          <th scope="col">{say().side}</th>
          <th scope="col" class="num">
            {border.frame.words().observedExpected}
          </th>
          <th scope="col">
            <span class="alone-key">
              <span>
                <i class="key-dot" /> {say().observedInterval}
              </span>{" "}
              <span>
                <i class="key-bar" /> {say().expected}
              </span>
            </span>
          </th>
          <th scope="col" class="num">
            {say().pAlone}
          </th>
        </tr>
      </thead>
      <tbody>
        <For each={sides()}>{(one) => <SideRow side={one} x={x()} />}</For>
        <tr class="pooled-row">
          <th scope="row">{say().pooledRow(sides().length)}</th>
          <td class="num">
            <b>{count(props.cluster.observed)}</b> / {expectedCount(props.cluster.expected)}
          </td>
          <td>
            <Bar x={x()} of={props.cluster} large />
          </td>
          <td class="num">
            <b>{pText(props.cluster.p)}</b>
          </td>
        </tr>
      </tbody>
    </table>
  );
}

function SideRow(props: { side: ClusterSide; x: (v: number) => number }) {
  const border = useBorder();
  const { say } = border;
  const outside = () => props.side.cells === 0;
  return (
    <tr classList={{ outside: outside() }}>
      <th scope="row">{border.sideName(props.side.side)}</th>
      <Show when={!outside()} fallback={<td colSpan={3}>{say().notInside}</td>}>
        <td class="num">
          <b>{count(props.side.observed)}</b> / {expectedCount(props.side.expected)}
        </td>
        <td>
          <Bar x={props.x} of={props.side} />
        </td>
        <td class="num">{pText(props.side.p_alone)}</td>
      </Show>
    </tr>
  );
}

/** Dot with its interval: observed; upright bar: expected. All in events, on one axis. */
function Bar(props: {
  x: (v: number) => number;
  of: { observed: number; expected: number; low: number | null; high: number | null };
  large?: boolean;
}) {
  const end = (ratio: number | null) => props.x((ratio ?? 0) * props.of.expected);
  return (
    <svg class="alone-bar" viewBox="0 0 136 20" aria-hidden="true">
      <line
        class="expected-tick"
        x1={props.x(props.of.expected)}
        x2={props.x(props.of.expected)}
        y1="3"
        y2="17"
      />
      <Show when={props.of.low !== null && props.of.high !== null}>
        <line class="interval" x1={end(props.of.low)} x2={end(props.of.high)} y1="10" y2="10" />
      </Show>
      <circle class="dot" cx={props.x(props.of.observed)} cy="10" r={props.large ? 5 : 4} />
    </svg>
  );
}

function Basis(props: { cluster: Cluster }) {
  const border = useBorder();
  const { say, run, view } = border;
  return (
    <Show when={run()}>
      {(one) => (
        <section>
          <h3 class="rule-head">{say().basis}</h3>
          <dl class="facts">
            <dt>{say().method}</dt>
            <dd>{one().method[view.state.lang]}</dd>
            <dt>{say().shared}</dt>
            <dd>{say().sharedText(one().resolution, one().min_count, one().delay_days)}</dd>
            <dt>{say().cutoff}</dt>
            <dd>
              {[one().cutoff, periodText(one().from, one().to), say().pooledRun(one().id)]
                .filter((each) => each !== "")
                .join(" · ")}
            </dd>
            <dt>{say().reasons}</dt>
            <dd>{props.cluster.reasons[view.state.lang]}</dd>
          </dl>
        </section>
      )}
    </Show>
  );
}
