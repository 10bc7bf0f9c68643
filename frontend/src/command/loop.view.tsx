/** The wall's live feed, four rows, and the health of the loop, five bars (LOOK 4). */
import { For, Show } from "solid-js";
import { staleSince } from "../api/server";
import { count } from "../charts/numbers";
import { clock } from "../state/times";
import { feedRows, loopBars } from "./alert-rules";
import { Swatch } from "./chip.view";
import { alertName } from "./kind-names";
import { useModel } from "./model";

const ROWS = 4;

/** Whether there is anything to say of alerts: else the wall keeps its other panels. */
export function hasLoop(model: ReturnType<typeof useModel>): boolean {
  const loop = model.alerts.loop.data();
  return (loop?.alerts ?? 0) > 0 || (loop?.alerts_open ?? 0) > 0 || (loop?.tasks ?? 0) > 0;
}

export function LiveFeed() {
  const model = useModel();
  const { words } = model;
  const rows = () => feedRows(model.alerts.feed.data() ?? [], ROWS);
  const today = () => clockDay(new Date().toISOString());
  const clockDay = (iso: string) =>
    new Intl.DateTimeFormat("en-CA", { timeZone: model.map().time_zone }).format(new Date(iso));
  const time = (iso: string) =>
    clockDay(iso) === today()
      ? clock(new Date(iso), model.map().time_zone)
      : clockDay(iso).slice(5);
  return (
    <section class="block wall-feed">
      <h3>
        <span>{words().newestAlerts}</span>
        <Show when={!staleSince() && !model.alerts.feed.failure()}>
          <span class="online">{words().online}</span>
        </Show>
      </h3>
      <ul>
        <For each={rows()} fallback={<li class="none">{words().noAlerts}</li>}>
          {(one) => (
            <li>
              <time datetime={one.opened_at}>{time(one.opened_at)}</time>
              <Swatch colour={one.colour} />
              <b>{alertName(model, one)}</b>
              <span>
                {model.nameOf(one)} · {words().events(one.observed_text)}
                <Show when={one.tasks.length > 0}>
                  {" · "}
                  {words().taskStates[one.tasks.at(-1)?.state ?? "sent"]}
                </Show>
              </span>
            </li>
          )}
        </For>
      </ul>
    </section>
  );
}

export function LoopHealth() {
  const model = useModel();
  const words = model.words;
  return (
    <Show when={model.alerts.loop.data()}>
      {(loop) => {
        const most = () => Math.max(1, ...loopBars(loop()).map((one) => one.n));
        return (
          <section class="block wall-loop">
            <h3>
              <span>{words().loopMonth}</span>
              <span>{words().overdueCount(loop().overdue_now)}</span>
            </h3>
            <ul>
              <For each={loopBars(loop())}>
                {(bar) => (
                  <li>
                    <span>{words().loopSteps[bar.step]}</span>
                    <i>
                      <i style={{ width: `${(100 * bar.n) / most()}%` }} />
                    </i>
                    <b>{count(bar.n)}</b>
                  </li>
                )}
              </For>
            </ul>
          </section>
        );
      }}
    </Show>
  );
}
