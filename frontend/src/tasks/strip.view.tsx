/** The place of a task among its neighbours: a map of one unit in the colours of the task's kind. */
import { createMemo, createSignal, ErrorBoundary, Match, Show, Switch } from "solid-js";
import { createAnswer } from "../api/answer";
import { addresses } from "../api/client";
import type { UnitDetail } from "../api/models";
import { MapView } from "../command/map.view";
import { asking, heard } from "../offline/offline";
import { levelIndex } from "../state/levels";
import { newest } from "../state/periods";
import { useBoard } from "./board";
import { around } from "./place";
import { STRIP } from "./prefetch";
import type { Shown } from "./steps";

export default function Strip(props: { task: Shown }) {
  const board = useBoard();
  const { frame, view, say } = board;
  const unit = createAnswer(
    () => addresses.unit(frame.map().pack, props.task.code),
    async (address, signal) => (await heard<UnitDetail>(address, signal)).value,
  );
  const [lost, setLost] = createSignal(false);
  const level = () => {
    const found = levelIndex(frame.map(), props.task.level);
    return found >= 0 ? frame.map().levels[found] : undefined;
  };
  const question = createMemo(() => ({
    run: frame.map().run,
    level: props.task.level,
    kind: frame.map().kinds.some((one) => one.id === props.task.kind)
      ? props.task.kind
      : (frame.map().kinds[0]?.id ?? "overall"),
    period: "month" as const,
    ord: newest(frame.map().periods.month),
  }));
  const ready = () => (unit.fresh() ? unit.data() : undefined);
  const nothing = () => <p class="strip-none">{say().mapAway}</p>;
  return (
    <div class="strip">
      <ErrorBoundary fallback={nothing()}>
        <Switch fallback={<div class="strip-blank" aria-busy="true" />}>
          <Match when={unit.failure() || !level() || lost()}>{nothing()}</Match>
          <Match when={ready()} keyed>
            {(found) => (
              <>
                <MapView
                  info={frame.map()}
                  theme={frame.theme()}
                  level={level() as never}
                  scope=""
                  scopeIndex={-1}
                  pattern={view.state.pattern}
                  scale={1}
                  labels
                  lang={view.state.lang}
                  interactive={false}
                  onAsk={asking}
                  question={question()}
                  selected={{ id: found.id, level: found.level }}
                  frame={around(found.bounds, STRIP.reach)}
                  camera={null}
                  padding={{
                    top: STRIP.padding,
                    right: STRIP.padding,
                    bottom: STRIP.padding,
                    left: STRIP.padding,
                  }}
                  label={say().mapOf(props.task.name)}
                  onFailure={(failed) => setLost(failed !== undefined)}
                />
                <Show when={frame.map().approximate || frame.map().simulated}>
                  <p class="strip-badges">
                    <Show when={frame.map().approximate}>
                      <span class="badge">{frame.words().approximate}</span>
                    </Show>
                    <Show when={frame.map().simulated}>
                      <span class="badge">{frame.words().simulated}</span>
                    </Show>
                  </p>
                </Show>
              </>
            )}
          </Match>
        </Switch>
      </ErrorBoundary>
    </div>
  );
}
