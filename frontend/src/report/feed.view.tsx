/** Major incidents as they come: open alerts of the unit, newest first. Places and numbers, no persons. */
import { For, onCleanup, Show } from "solid-js";
import { createLive } from "../border/live";
import { useFrame } from "../command/frame";
import { Empty, Settled } from "../command/states.view";
import { clock, moment } from "../state/times";
import { useReport } from "./model";

const PAUSE_MS = 300;

export function FeedPane() {
  const report = useReport();
  const { map, nameOf, view, words } = useFrame();
  let waiting: ReturnType<typeof setTimeout> | undefined;
  // several alerts of one run come at once: one question for all of them
  const again = () => {
    clearTimeout(waiting);
    waiting = setTimeout(report.alerts.retry, PAUSE_MS);
  };
  onCleanup(() => clearTimeout(waiting));
  const live = createLive(
    ["run", "alert"],
    (event) => {
      again();
      if (event.topic === "run") report.scenes.retry();
    },
    again,
  );
  const kind = (id: string) => {
    const found = map().kinds.find((one) => one.id === id);
    return found ? found.title[view.state.lang] : id;
  };
  const shown = () =>
    [...(report.alerts.data()?.alerts ?? [])]
      .sort((a, b) => b.opened_at.localeCompare(a.opened_at) || a.id - b.id)
      .slice(0, 20);
  return (
    <section class="feed pane" data-pane="feed" aria-label={report.say().feed}>
      <header class="side-head">
        <h2>{report.say().feed}</h2>
      </header>
      <Show when={live.lostAt()}>
        {(at) => (
          <p class="note" role="status">
            {report.say().feedLost(clock(at(), map().time_zone))}
          </p>
        )}
      </Show>
      <Settled answer={report.alerts} what={report.say().failedFeed} rows={4}>
        {() => (
          <Show
            when={shown().length > 0}
            fallback={
              <Empty title={report.say().feedEmpty}>
                <p>{report.say().feedEmptyText}</p>
              </Empty>
            }
          >
            <p class="note">{report.say().feedNote}</p>
            <ol class="incidents" aria-live="polite" data-testid="feed">
              <For each={shown()}>
                {(alert) => (
                  <li data-alert={alert.id}>
                    <span class={`chip chip-${alert.colour}`}>{words().colours[alert.colour]}</span>
                    <div>
                      <b>
                        {nameOf(alert)} · {kind(alert.kind)}
                        <Show when={alert.new}>
                          <span class="badge">{report.say().alertNew}</span>
                        </Show>
                      </b>
                      <p>{alert.reason[view.state.lang]}</p>
                      <p class="note">
                        {moment(alert.opened_at, map().time_zone, new Date())}
                        <Show when={alert.tasks.length > 0}>
                          <> · {report.say().alertTasks(alert.tasks.length)}</>
                        </Show>
                      </p>
                    </div>
                  </li>
                )}
              </For>
            </ol>
          </Show>
        )}
      </Settled>
    </section>
  );
}
