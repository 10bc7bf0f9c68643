/** Strips over the page: no signal and the age of the data, live news lost, what waits, what came in. */
import { CloudOff, Send, Unplug } from "lucide";
import { createMemo, createSignal, For, Show } from "solid-js";
import { Icon } from "../command/icon";
import { away, since } from "../offline/offline";
import { useBorder } from "./model";
import { useTimes } from "./parts.view";
import { askedText } from "./state";

/** Seconds a stream may be away before it is said: coming back takes one. */
const PATIENCE_S = 3;

export function Strips() {
  const border = useBorder();
  const { say, now } = border;
  const time = useTimes();
  /** By this device's own clock, as the time of the last answer is. */
  const minutes = () => {
    now();
    return Math.floor((Date.now() - (since()?.getTime() ?? 0)) / 60_000);
  };
  const lost = createMemo(() => {
    const at = border.live.lostAt();
    if (!at || away()) return undefined;
    now();
    return Date.now() - at.getTime() > PATIENCE_S * 1000 ? at : undefined;
  });
  return (
    <div class="strips">
      <Show when={away()}>
        <div class="offline-strip" role="status">
          <Icon node={CloudOff} />
          <b>
            <Show when={since()} fallback={say().offlineNone}>
              {(at) => <>{say().offlineAt(time(at()))}</>}
            </Show>
          </b>
          <Show when={since()}>
            <span class="end">{say().minutesAgo(minutes())}</span>
          </Show>
        </div>
      </Show>
      <Show when={lost()}>
        {(at) => (
          <div class="lost-strip" role="status">
            <Icon node={Unplug} />
            <span>{say().liveLost(time(at()))}</span>
          </div>
        )}
      </Show>
      <Outbox />
      <Incoming />
    </div>
  );
}

function Outbox() {
  const border = useBorder();
  const { say, outbox } = border;
  const [open, setOpen] = createSignal(false);
  const refused = () => outbox.actions().filter((one) => one.refused);
  const waiting = () => outbox.actions().length - refused().length;
  const time = useTimes();
  return (
    <Show when={outbox.actions().length > 0 || outbox.others() > 0}>
      <section class="outbox" aria-label={say().outbox}>
        <button
          type="button"
          class="outbox-sum"
          aria-expanded={open() || refused().length > 0}
          onClick={() => setOpen(!open())}
        >
          <Icon node={Send} />
          <b>
            {[
              waiting() > 0 ? say().waiting(waiting()) : "",
              refused().length > 0 ? say().refused(refused().length) : "",
              outbox.actions().length === 0 ? say().waitingOthers(outbox.others()) : "",
            ]
              .filter((one) => one !== "")
              .join(" · ")}
          </b>
          <span>{waiting() > 0 ? say().waitingText : ""}</span>
        </button>
        <Show when={open() || refused().length > 0}>
          <ul>
            <For each={outbox.actions()}>
              {(one) => (
                <li>
                  <b>{one.title}</b>
                  <span class="note">{time(one.at)}</span>
                  <Show when={one.refused}>
                    {(no) => (
                      <p role="alert">
                        {say().refusedOne(no().message)}{" "}
                        <button type="button" class="link" onClick={() => outbox.again(one.key)}>
                          {say().again}
                        </button>{" "}
                        <button type="button" class="link" onClick={() => outbox.drop(one.key)}>
                          {say().drop}
                        </button>
                      </p>
                    )}
                  </Show>
                </li>
              )}
            </For>
          </ul>
          <Show when={outbox.others() > 0 && outbox.actions().length > 0}>
            <p class="note">{say().waitingOthers(outbox.others())}</p>
          </Show>
          <Show when={!outbox.lasting()}>
            <p role="alert">{say().notLasting}</p>
          </Show>
        </Show>
      </section>
    </Show>
  );
}

/** What was just told; it stays until it is looked at or put away. */
function Incoming() {
  const border = useBorder();
  const { say } = border;
  const shown = createMemo(() => {
    const one = border.notice();
    if (!one) return undefined;
    if (one.topic === "check") {
      const found = border.checks.value()?.checks.find((each) => each.id === one.id);
      return (
        found && {
          text: say().incoming(found.zone_name),
          sub: found.reference,
          go: () => border.open({ what: "check", id: one.id }),
        }
      );
    }
    const device = border.devices.value()?.devices.find((each) => each.id === one.id);
    if (!device) return undefined;
    const words = device.alarm?.words[border.view.state.lang] ?? "";
    return {
      text: say().newAlarm(words || (say().deviceKinds[device.kind] ?? device.kind)),
      sub: device.name,
      go: () =>
        border.view.go({
          at: askedText(device),
          open: "",
          tab: "here",
        }),
    };
  });
  return (
    <Show when={shown()}>
      {(one) => (
        <div class="incoming" role="alert">
          <b>{one().text}</b>
          <span>{one().sub}</span>
          <span class="end incoming-acts">
            <button
              type="button"
              class="button"
              onClick={() => {
                one().go();
                border.dismiss();
              }}
            >
              {say().look}
            </button>
            <button type="button" class="button" onClick={border.dismiss}>
              {say().close}
            </button>
          </span>
        </div>
      )}
    </Show>
  );
}
