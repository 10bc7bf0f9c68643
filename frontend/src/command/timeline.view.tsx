/** Time line: one bar per period, height = share of orange, red and yellow; a slider and a player. */
import { Pause, Play } from "lucide";
import { createEffect, createMemo, createSignal, For, onCleanup, Show } from "solid-js";
import type { Colour } from "../api/models";
import { fetchValues } from "../api/values";
import { percent } from "../charts/numbers";
import { newest, periodName, tickName, ymd } from "../state/periods";
import { Icon } from "./icon";
import { type Model, useModel } from "./model";

const STEP_MS = 1200;
const WARM: readonly Colour[] = ["red", "orange", "yellow"];

export function warmShare(counts: Record<Colour, number> | undefined): number | null {
  if (!counts) return null;
  const total = Object.values(counts).reduce((sum, one) => sum + one, 0) - (counts.none ?? 0);
  return total > 0 ? WARM.reduce((sum, one) => sum + (counts[one] ?? 0), 0) / total : null;
}

/** Move to a period by its index; the newest is the default of the link. */
export function goTo(model: Model, ord: number, how: "push" | "replace" = "push") {
  const periods = model.periods();
  const kept = Math.min(Math.max(ord, 0), periods.length - 1);
  model.view.go({ ord: kept === newest(periods) ? null : kept }, how);
}

export function Timeline() {
  const model = useModel();
  const words = model.words;
  const [playing, setPlaying] = createSignal(false);
  const trend = () => {
    const all = model.summary.data()?.class_trend;
    return all?.length === model.periods().length ? all : undefined;
  };
  const highest = createMemo(() =>
    Math.max(0.2, ...(trend() ?? []).map((counts) => warmShare(counts) ?? 0)),
  );

  // The next period is fetched while this one is looked at, so that playing does not stutter.
  createEffect(() => {
    if (!playing()) return;
    const ord = (model.ord() + 1) % model.periods().length;
    const { within: _within, ...question } = model.question();
    const controller = new AbortController();
    fetchValues({ ...question, ord }, model.level().count, controller.signal).catch(
      () => undefined,
    );
    const timer = setTimeout(() => goTo(model, ord, "replace"), STEP_MS);
    onCleanup(() => {
      clearTimeout(timer);
      controller.abort();
    });
  });

  const parts = (counts: Record<Colour, number> | undefined) => {
    if (!counts) return [];
    const total =
      Object.values(counts).reduce((sum, one) => sum + one, 0) - (counts.none ?? 0) || 1;
    let y = 40;
    return [...WARM].toReversed().map((colour) => {
      const height = ((counts[colour] ?? 0) / total / highest()) * 38;
      y -= height;
      return { colour, y, height };
    });
  };
  const name = (ord: number) =>
    periodName(
      model.view.state.period,
      model.periods()[ord]?.start ?? "2000-01-01",
      model.view.state.lang,
    );

  return (
    <section class="timeline" aria-label={words().timeline}>
      <button
        type="button"
        class="play"
        title={playing() ? words().pause : words().play}
        aria-label={playing() ? words().pause : words().play}
        aria-pressed={playing()}
        onClick={() => setPlaying(!playing())}
      >
        <Icon node={playing() ? Pause : Play} />
      </button>
      <div class="bars" style={{ "--n": model.periods().length }}>
        <For each={model.periods()}>
          {(period, index) => (
            <div
              class="bar"
              classList={{
                "bar-now": index() === model.ord(),
                "bar-open": !period.complete,
              }}
              title={words().warmTitle(name(index()), percent(warmShare(trend()?.[index()])))}
            >
              <svg viewBox="0 0 24 42" preserveAspectRatio="none" aria-hidden="true">
                <For each={parts(trend()?.[index()])}>
                  {(part) => (
                    <rect
                      class={`fill-${part.colour}`}
                      x="0"
                      y={part.y}
                      width="24"
                      height={part.height}
                    />
                  )}
                </For>
              </svg>
              <span class="tick">{tickName(model.view.state.period, period.start)}</span>
              <Show
                when={
                  model.view.state.period !== "year" &&
                  (index() === 0 || ymd(period.start).month === 1)
                }
              >
                <span class="tick-year">{ymd(period.start).year}</span>
              </Show>
            </div>
          )}
        </For>
        <input
          class="slider"
          type="range"
          min="0"
          max={model.periods().length - 1}
          value={model.ord()}
          aria-label={words().timeline}
          aria-valuetext={name(model.ord())}
          onInput={(event) => goTo(model, Number(event.currentTarget.value), "replace")}
        />
      </div>
      <div class="warm">
        <span>{words().warmShare}</span>
        <b>{percent(warmShare(trend()?.[model.ord()]))}</b>
      </div>
    </section>
  );
}
