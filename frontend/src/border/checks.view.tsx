/** Two-sided checks: those that run, those that are over. */
import { Clock, Check as Tick, X } from "lucide";
import { For, Show } from "solid-js";
import { Icon } from "../command/icon";
import { away } from "../offline/offline";
import { leftText } from "./format";
import { isRunning, useBorder } from "./model";
import { FailureNote, Scroll, useTimes } from "./parts.view";
import { StartCheck } from "./start.view";
import type { Check } from "./types";

const MOST_OVER = 20;

export function ChecksView() {
  const { say } = useBorder();
  return (
    <div class="panel-body">
      <Scroll label={say().checks}>
        <CheckLists />
      </Scroll>
      <StartCheck />
    </div>
  );
}

export function CheckLists() {
  const border = useBorder();
  const { say, checks } = border;
  const over = () =>
    (checks.value()?.checks ?? [])
      .filter((one) => !isRunning(one, border.now()))
      .slice(0, MOST_OVER);
  return (
    <>
      <RunningChecks />
      <Show when={over().length > 0}>
        <h3 class="list-head">{say().checksOver}</h3>
        <ul class="rows">
          <For each={over()}>{(one) => <Row check={one} />}</For>
        </ul>
      </Show>
    </>
  );
}

export function RunningChecks() {
  const border = useBorder();
  const { say, checks, running } = border;
  return (
    <>
      <h3 class="list-head">
        <span>{say().checksRunning(running().length)}</span>
        <button type="button" class="link end" onClick={() => border.open({ what: "results" })}>
          {say().results}
        </button>
      </h3>
      <FailureNote failure={checks.failure()} retry={checks.reload} />
      <Show when={checks.value() && running().length === 0}>
        <p class="list-none">
          <b>{say().noChecks}</b> {say().noChecksText}
        </p>
      </Show>
      <ul class="rows" data-testid="running">
        <For each={running()}>{(one) => <Row check={one} />}</For>
      </ul>
    </>
  );
}

function Row(props: { check: Check }) {
  const border = useBorder();
  const { say } = border;
  const time = useTimes();
  const alive = () => isRunning(props.check, border.now());
  const selected = () => {
    const open = border.opened();
    return open.what === "check" && open.id === props.check.id;
  };
  const state = () => {
    const word = say().states[props.check.state];
    const at = border.checks.at();
    return away() && at ? say().stateAt(word, time(at)) : word;
  };
  return (
    <li>
      <button
        type="button"
        class="row"
        data-check={props.check.id}
        aria-current={selected() ? "true" : undefined}
        onClick={() => border.open({ what: "check", id: props.check.id })}
      >
        <span class="row-top">
          <b>{props.check.zone_name}</b>
          <span class="end">
            {alive() ? say().leftShort(leftText(props.check.ends_at, border.now())) : state()}
          </span>
        </span>
        <span class="row-sub">{props.check.reference}</span>
        <Show when={alive()}>
          <span class="row-sub sides">
            <For each={props.check.sides}>
              {(side) => (
                <span class="side-state">
                  <Icon node={side.answer === "accept" ? Tick : side.answer ? X : Clock} />
                  {side.answer === "accept"
                    ? say().acceptedBy(border.sideName(side.side))
                    : side.answer
                      ? say().declinedBy(border.sideName(side.side))
                      : say().waitsFor(border.sideName(side.side))}
                </span>
              )}
            </For>
          </span>
        </Show>
      </button>
    </li>
  );
}
