/** The question: kinds, time, hours, ways of locating; how long the answer took; what to do with it. */
import { Columns2 } from "lucide";
import { createSignal, For, Show } from "solid-js";
import { useFrame } from "../command/frame";
import { Icon } from "../command/icon";
import { Badges } from "../command/kinds.view";
import { useAsk } from "./ask";
import { addDays, presetSpan, SPANS, spanText } from "./days";
import { ExportMenu } from "./export.view";
import { HOURS, PRESETS, type Preset, presetOf } from "./hours";
import { Menu } from "./menu.view";
import { SaveMenu } from "./save.view";
import { LOCATED } from "./state";

export function QuestionBar() {
  const ask = useAsk();
  const say = ask.say;
  const took = () => {
    const ms = ask.live.took();
    if (ms === undefined || !ask.active()) return "";
    return say().exact(ms < 10 ? ms.toFixed(1) : ms.toFixed(0));
  };
  return (
    <div class="controls question">
      <Kinds />
      <Time />
      <Hours />
      <Located />
      <Badges />
      <div class="controls-end">
        <Show when={took()}>
          <span class="took">{took()}</span>
        </Show>
        <button
          type="button"
          class="button"
          data-act="compare"
          aria-pressed={ask.view.state.vs !== ""}
          disabled={!ask.active()}
          onClick={() => ask.compare()}
        >
          <Icon node={Columns2} />
          {say().compare}
        </button>
        <SaveMenu />
        <ExportMenu />
      </div>
    </div>
  );
}

function Kinds() {
  const ask = useAsk();
  const say = ask.say;
  const { map, title } = useFrame();
  const all = () => map().kinds.filter((one) => one.id !== "overall");
  const chosen = () => ask.view.state.kinds;
  const text = () => {
    const first = all().find((one) => one.id === chosen()[0]);
    if (!first) return say().everything;
    return chosen().length === 1
      ? title(first.title)
      : say().kindsOf(title(first.title), chosen().length);
  };
  const toggle = (id: string) => {
    const now = chosen().length === 0 ? all().map((one) => one.id) : [...chosen()];
    const next = now.includes(id) ? now.filter((one) => one !== id) : [...now, id];
    const ordered = all()
      .map((one) => one.id)
      .filter((one) => next.includes(one));
    ask.view.go({ kinds: ordered.length === all().length ? [] : ordered });
  };
  return (
    <Menu name="kinds" label={say().kinds} value={text()}>
      {() => (
        <fieldset class="menu-list" aria-label={say().kinds}>
          <button type="button" class="link" onClick={() => ask.view.go({ kinds: [] })}>
            {say().allKinds}
          </button>
          <For each={all()}>
            {(kind) => (
              <span class="menu-row">
                <label class="check">
                  <input
                    type="checkbox"
                    checked={chosen().length === 0 || chosen().includes(kind.id)}
                    onChange={() => toggle(kind.id)}
                  />
                  {title(kind.title)}
                </label>
                <button
                  type="button"
                  class="link"
                  aria-label={`${say().only} ${title(kind.title)}`}
                  onClick={() => ask.view.go({ kinds: [kind.id] })}
                >
                  {say().only}
                </button>
              </span>
            )}
          </For>
        </fieldset>
      )}
    </Menu>
  );
}

function Time() {
  const ask = useAsk();
  const say = ask.say;
  const { map } = useFrame();
  const same = (preset: (typeof SPANS)[number]) => {
    const one = presetSpan(preset, map().periods.month);
    return one.from === ask.span().from && one.to === ask.span().to;
  };
  /** The last day is asked for, not the day after it. */
  const set = (from: string, last: string) => {
    if (from && last && from <= last) ask.view.go({ from, to: addDays(last, 1) });
  };
  return (
    <Menu name="time" label={say().time} value={spanText(ask.span())}>
      {(close) => (
        <div class="menu-list">
          <For each={SPANS}>
            {(preset) => (
              <button
                type="button"
                class="menu-item"
                data-span={preset}
                aria-pressed={same(preset)}
                onClick={() => {
                  ask.view.go(presetSpan(preset, map().periods.month));
                  close();
                }}
              >
                {say().spans[preset]}
                <small>{spanText(presetSpan(preset, map().periods.month))}</small>
              </button>
            )}
          </For>
          <span class="menu-dates">
            <label>
              {say().from}
              <input
                type="date"
                value={ask.span().from}
                onChange={(event) => set(event.currentTarget.value, addDays(ask.span().to, -1))}
              />
            </label>
            <label>
              {say().until}
              <input
                type="date"
                value={addDays(ask.span().to, -1)}
                onChange={(event) => set(ask.span().from, event.currentTarget.value)}
              />
            </label>
          </span>
        </div>
      )}
    </Menu>
  );
}

function Hours() {
  const ask = useAsk();
  const say = ask.say;
  const chosen = () => ask.view.state.hours;
  const text = () => {
    const preset = presetOf(chosen());
    return preset ? (say().hourSets[preset] ?? "") : say().hoursOf(chosen().length);
  };
  const [painting, setPainting] = createSignal<boolean | null>(null);
  const has = (hour: number) => chosen().length === 0 || chosen().includes(hour);
  const put = (hour: number, on: boolean) => {
    const now = new Set(
      chosen().length === 0 ? Array.from({ length: HOURS }, (_, i) => i) : chosen(),
    );
    if (on) now.add(hour);
    else now.delete(hour);
    const next = [...now].sort((a, b) => a - b);
    // no hour at all would be no question
    if (next.length > 0) ask.view.go({ hours: next.length === HOURS ? [] : next }, "replace");
  };
  return (
    <Menu name="hours" label={say().hours} value={text()}>
      {() => (
        <div class="menu-list">
          <div class="menu-presets">
            <For each={Object.keys(PRESETS) as Preset[]}>
              {(preset) => (
                <button
                  type="button"
                  class="menu-item"
                  data-hours={preset}
                  aria-pressed={presetOf(chosen()) === preset}
                  onClick={() => ask.view.go({ hours: [...PRESETS[preset]] })}
                >
                  {say().hourSets[preset]}
                </button>
              )}
            </For>
          </div>
          <p class="note">{say().hoursGrid}</p>
          <fieldset
            class="hours-grid"
            aria-label={say().hoursGrid}
            onPointerUp={() => setPainting(null)}
            onPointerLeave={() => setPainting(null)}
          >
            <For each={Array.from({ length: HOURS }, (_, i) => i)}>
              {(hour) => (
                <button
                  type="button"
                  tabIndex={hour === 0 ? 0 : -1}
                  aria-pressed={has(hour)}
                  aria-label={`${say().weekday[Math.floor(hour / 24)]} ${hour % 24}:00`}
                  onPointerDown={(event) => {
                    event.currentTarget.releasePointerCapture(event.pointerId);
                    setPainting(!has(hour));
                    put(hour, !has(hour));
                  }}
                  onPointerEnter={() => painting() !== null && put(hour, painting() as boolean)}
                  onKeyDown={(event) => gridKeys(event, hour, () => put(hour, !has(hour)))}
                />
              )}
            </For>
          </fieldset>
        </div>
      )}
    </Menu>
  );
}

const STEPS: Record<string, number> = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 24, ArrowUp: -24 };

function gridKeys(
  event: KeyboardEvent & { currentTarget: HTMLButtonElement },
  hour: number,
  toggle: () => void,
): void {
  const step = STEPS[event.key];
  if (step !== undefined) {
    event.preventDefault();
    const next = event.currentTarget.parentElement?.children[(hour + step + HOURS) % HOURS];
    (next as HTMLElement | undefined)?.focus();
  } else if (event.key === " " || event.key === "Enter") {
    event.preventDefault();
    toggle();
  }
}

function Located() {
  const ask = useAsk();
  const say = ask.say;
  const chosen = () => ask.view.state.by;
  const text = () =>
    chosen().length === 0
      ? say().everything
      : chosen()
          .map((one) => say().locatedSets[one])
          .join(" + ");
  const toggle = (one: (typeof LOCATED)[number]) => {
    const now = chosen().length === 0 ? [...LOCATED] : [...chosen()];
    const next = now.includes(one) ? now.filter((each) => each !== one) : [...now, one];
    if (next.length > 0) ask.view.go({ by: next.length === LOCATED.length ? [] : next });
  };
  return (
    <Menu name="located" label={say().located} value={text()}>
      {() => (
        <fieldset class="menu-list" aria-label={say().located}>
          <For each={LOCATED}>
            {(one) => (
              <label class="check">
                <input
                  type="checkbox"
                  checked={chosen().length === 0 || chosen().includes(one)}
                  onChange={() => toggle(one)}
                />
                {say().locatedSets[one]}
              </label>
            )}
          </For>
        </fieldset>
      )}
    </Menu>
  );
}
