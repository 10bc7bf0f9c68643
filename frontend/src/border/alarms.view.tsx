/** Devices that alarm, and how many are heard. */
import { For, Show } from "solid-js";
import { away } from "../offline/offline";
import { useBorder } from "./model";
import { FailureNote, Scroll, useTimes } from "./parts.view";
import { askedText } from "./state";

export function AlarmsView() {
  const { say } = useBorder();
  return (
    <div class="panel-body">
      <Scroll label={say().alarms}>
        <AlarmList />
      </Scroll>
    </div>
  );
}

export function AlarmList() {
  const border = useBorder();
  const { say, devices, view } = border;
  const time = useTimes();
  const all = () => devices.value()?.devices ?? [];
  const alarming = () => all().filter((one) => one.alarming);
  const sum = (state: string) => all().filter((one) => one.state === state).length;
  return (
    <>
      <h3 class="list-head">
        <span>
          {say().alarms} {alarming().length}
        </span>
        <Show when={away() && devices.at()}>{(at) => <span class="end">{time(at())}</span>}</Show>
      </h3>
      <FailureNote failure={devices.failure()} retry={devices.reload} />
      <Show when={devices.value() && alarming().length === 0}>
        <p class="list-none">
          <b>{say().noAlarms}</b> {say().noAlarmsText(all().length)}
        </p>
      </Show>
      <ul class="rows" data-testid="alarms">
        <For each={alarming()}>
          {(one) => (
            <li>
              <button
                type="button"
                class="row"
                data-device={one.id}
                title={say().showOnMap}
                onClick={() => view.go({ at: askedText(one), open: "", tab: "here" })}
              >
                <span class="row-top">
                  <i class={`device-dot alarming device-${one.state}`} />
                  <b>
                    {one.alarm?.words[view.state.lang] ?? say().deviceKinds[one.kind] ?? one.kind}
                  </b>
                  <span class="end">
                    {one.alarm ? say().alarmSince(time(one.alarm.since)) : ""}
                  </span>
                </span>
                <span class="row-sub">
                  {[one.name, border.sideName(one.side), say().deviceKinds[one.kind] ?? one.kind]
                    .filter((each) => each !== "")
                    .join(" · ")}
                </span>
              </button>
            </li>
          )}
        </For>
      </ul>
      <Show when={all().length > 0}>
        <p class="note list-foot">
          {say().deviceSum(sum("online"), sum("flapping"), sum("offline"))}
        </p>
      </Show>
    </>
  );
}
