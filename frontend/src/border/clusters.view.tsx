/** Joint clusters of a period: what only the pooled view sees comes first. */
import { createSignal, For, Show } from "solid-js";
import { PERIODS } from "../api/models";
import { count, expectedCount } from "../charts/numbers";
import { AssessAnew } from "./assess.view";
import { SeenMark } from "./cluster-mark.view";
import { SEEN } from "./clusters";
import { pText } from "./format";
import { useBorder } from "./model";
import { FailureNote } from "./parts.view";

const FEW = 5;

export function ClusterList() {
  const border = useBorder();
  const { say, view, frame, clusters, run, runs } = border;
  const together = () => clusters().filter((one) => one.seen === "together").length;
  const kindName = (id: string) => {
    const found = frame.map().kinds.find((one) => one.id === id);
    return found ? frame.title(found.title) : id;
  };
  const selected = (number: number) => {
    const open = border.opened();
    return open.what === "cluster" && open.id === number;
  };
  const [whole, setWhole] = createSignal(false);
  const sorted = () =>
    clusters().toSorted(
      (a, b) => SEEN.indexOf(a.seen) - SEEN.indexOf(b.seen) || a.number - b.number,
    );
  /** The first few, and what is selected: checks below are not pushed out of sight. */
  const shown = () =>
    sorted().filter((one, index) => whole() || index < FEW || selected(one.number));
  const lengths = () =>
    PERIODS.filter((one) => (runs.value()?.runs ?? []).some((each) => each.period === one));
  return (
    <section class="clusters" aria-label={say().clusters(clusters().length)}>
      <Show
        when={run()}
        fallback={
          <>
            <h2 class="list-title">{say().sharedLine}</h2>
            <Show when={runs.value() || runs.failure()}>
              <p class="list-none">
                <b>{say().noRuns}</b> {say().noRunsText}
              </p>
              <AssessAnew run={undefined} />
            </Show>
          </>
        }
      >
        {(one) => (
          <>
            <h2 class="list-title">{say().clustersTogether(together())}</h2>
            <div class="cluster-period">
              <Show when={lengths().length > 1}>
                <fieldset class="segments" aria-label={frame.words().periodChoice}>
                  <For each={lengths()}>
                    {(period) => (
                      <button
                        type="button"
                        class="segment"
                        aria-pressed={one().period === period}
                        onClick={() => view.go({ period, pooled: 0, open: "" })}
                      >
                        {frame.words().periods[period]}
                      </button>
                    )}
                  </For>
                </fieldset>
              </Show>
              <select
                class="run-choice"
                aria-label={frame.words().periodChoice}
                value={one().id}
                onChange={(event) =>
                  view.go({ pooled: Number(event.currentTarget.value), open: "" })
                }
              >
                <For
                  each={(runs.value()?.runs ?? []).filter((each) => each.period === one().period)}
                >
                  {(each) => <option value={each.id}>{periodText(each.from, each.to)}</option>}
                </For>
              </select>
            </div>
            <AssessAnew run={one()} />
            <h3 class="list-head">
              <span>{say().clusters(clusters().length)}</span>
            </h3>
            <FailureNote
              failure={border.clustersKept.failure()}
              retry={border.clustersKept.reload}
            />
            <Show when={border.clustersKept.value() && clusters().length === 0}>
              <p class="list-none">
                <b>{say().noClusters}</b>
              </p>
            </Show>
            <ul class="rows" data-testid="clusters">
              <For each={shown()}>
                {(each) => (
                  <li>
                    <button
                      type="button"
                      class="row row-icon"
                      data-cluster={each.number}
                      aria-current={selected(each.number) ? "true" : undefined}
                      onClick={() => border.open({ what: "cluster", id: each.number })}
                    >
                      <SeenMark seen={each.seen} />
                      <span class="row-top">
                        <b>
                          {each.number} {clusterName(each, border.sideName)}
                        </b>
                      </span>
                      <span class="row-sub">
                        {say().clusterLine(
                          kindName(each.kind),
                          count(each.observed),
                          expectedCount(each.expected),
                        )}{" "}
                        · {pText(each.p)}
                      </span>
                    </button>
                  </li>
                )}
              </For>
            </ul>
            <Show when={clusters().length > FEW}>
              <button type="button" class="link more" onClick={() => setWhole(!whole())}>
                {whole() ? frame.words().fewerKinds : say().all(clusters().length)}
              </button>
            </Show>
          </>
        )}
      </Show>
    </section>
  );
}

/** Name of a cluster: the sides it lies in. */
export function clusterName(
  one: { sides: readonly { side: string; cells: number }[] },
  sideName: (code: string) => string,
): string {
  return one.sides
    .filter((each) => each.cells > 0)
    .map((each) => sideName(each.side))
    .join("–");
}

/** 2026-07-01…2026-09-30 as 2026-07 – 2026-09 */
export function periodText(from: string, to: string): string {
  const end = new Date(Date.parse(to) - 86_400_000).toISOString();
  const [a, b] = [from.slice(0, 7), end.slice(0, 7)];
  return a === b ? a : `${a} – ${b}`;
}
