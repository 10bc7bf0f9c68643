/** Small parts of the page: the strip that says the age of the data, the six steps, refusals, tabs. */
import { CircleUserRound, CloudOff, History, ListTodo, Map as MapIcon } from "lucide";
import { For, Show } from "solid-js";
import type { Colour } from "../api/models";
import { Icon } from "../command/icon";
import type { Action } from "../offline/queue";
import { readOf, useBoard } from "./board";
import { when } from "./due";
import { BAR, reached, type Shown } from "./steps";

/** White on black: no signal, what waits, how old the tasks are. */
export function AgeStrip() {
  const board = useBoard();
  const { say } = board;
  const time = () => {
    const at = board.heardAt();
    return at ? when(at.toISOString(), board.now(), board.zone(), board.view.state.lang) : "—";
  };
  const text = () => {
    const n = board.waiting().length;
    if (n === 0) return navigator.onLine ? say().noServer(time()) : say().offlineAge(time());
    return navigator.onLine ? say().noServerWaiting(n, time()) : say().offlineWaiting(n, time());
  };
  return (
    <div role="status" class="age-box">
      <Show when={board.away()}>
        <p class="age">
          <Icon node={CloudOff} />
          {text()}
        </p>
      </Show>
    </div>
  );
}

/** Six steps; those reached are ink, the last of them bold. */
export function StepBar(props: { task: Shown }) {
  const board = useBoard();
  const at = () => reached(props.task.state);
  return (
    <Show
      when={at() > 0}
      fallback={
        <p class="ended">
          <Show when={props.task.merged_into} fallback={board.say().tags[props.task.state]}>
            {(into) => (
              <button
                type="button"
                class="link"
                onClick={() => board.view.go({ task: into(), form: false })}
              >
                {board.say().mergedInto(board.say().number(into()))}
              </button>
            )}
          </Show>
        </p>
      }
    >
      <ol class="bar6">
        <For each={BAR}>
          {(one, index) => (
            <li
              classList={{ past: index() < at(), now: index() === at() - 1 }}
              aria-current={index() === at() - 1 ? "step" : undefined}
            >
              {board.say().bar[one]}
            </li>
          )}
        </For>
      </ol>
    </Show>
  );
}

/** Where a task stands, as a tag; filled while somebody is there. */
export function Tag(props: { task: Shown }) {
  const board = useBoard();
  return (
    <span class="tag" classList={{ "tag-on": props.task.state === "on_site" }}>
      {board.say().tags[props.task.state]}
    </span>
  );
}

/** Colour with its name, along the left edge. */
export function Edge(props: { colour: Colour }) {
  const board = useBoard();
  return (
    <span class={`edge chip-${props.colour}`}>{board.frame.words().colours[props.colour]}</span>
  );
}

/** Why the server said no, in words. */
export function refusalText(board: ReturnType<typeof useBoard>, action: Action): string {
  const { why } = board.say();
  const no = action.refused;
  if (!no) return "";
  const found = readOf(action.of);
  const task = board.tasks()?.find((one) => one.id === found?.task);
  if (no.status === 409 && task) return why.conflict(board.say().tags[task.state]);
  if (no.status === 404) return why.gone;
  if (no.status === 403) return why.forbidden;
  if (no.status === 413) return why.large;
  if (no.status === 409 || no.status === 422) return why.invalid(no.message);
  return why.other(no.status);
}

/** What was not taken, told until it is put away. */
export function Refusals(props: { task?: number }) {
  const board = useBoard();
  const mine = () =>
    board
      .refused()
      .filter((one) => props.task === undefined || readOf(one.of)?.task === props.task);
  return (
    <For each={mine()}>
      {(one) => (
        <div class="refused" role="alert">
          <b>{board.say().refusedTitle}</b>
          <p>{board.say().refused(one.title, refusalText(board, one))}</p>
          <p class="ways">
            <Show when={(one.refused?.status ?? 0) >= 500}>
              <button type="button" class="button" onClick={() => board.outbox.again(one.key)}>
                {board.frame.words().retry}
              </button>
            </Show>
            <button type="button" class="button" onClick={() => board.outbox.drop(one.key)}>
              {board.say().refusedOk}
            </button>
          </p>
        </div>
      )}
    </For>
  );
}

/** The four ways of the thumb. */
export function TabBar() {
  const board = useBoard();
  const { view, say } = board;
  const tab = (name: "tasks" | "done" | "me", icon: typeof MapIcon) => (
    <button
      type="button"
      class="tab"
      aria-current={view.state.tab === name ? "page" : undefined}
      onClick={() => view.go({ tab: name, task: 0, form: false })}
    >
      <Icon node={icon} size={20} />
      {say().tabs[name]}
    </button>
  );
  return (
    <nav class="tabs" aria-label={say().tabLabel}>
      {tab("tasks", ListTodo)}
      <a class="tab" href={`/${mapHash(board)}`}>
        <Icon node={MapIcon} size={20} />
        {say().tabs.map}
      </a>
      {tab("done", History)}
      {tab("me", CircleUserRound)}
    </nav>
  );
}

/** Hash of the command view: the same map and language, and what is to be seen there. */
export function mapHash(board: ReturnType<typeof useBoard>, task?: Shown): string {
  const { map, lang, theme, palette, pattern } = board.view.state;
  const parts = new URLSearchParams();
  if (map) parts.set("map", map);
  if (task) {
    parts.set("unit", task.code);
    parts.set("level", task.level);
    parts.set("kind", task.kind);
    if (task.code.length > 6) parts.set("scope", scopeOf(board, task));
  }
  if (theme !== "light") parts.set("theme", theme);
  if (lang !== "zh") parts.set("lang", lang);
  if (palette !== "standard") parts.set("palette", palette);
  if (pattern) parts.set("pattern", "1");
  for (const [key, value] of [...parts]) if (value === "") parts.delete(key);
  return parts.size > 0 ? `#${parts}` : "";
}

/** A unit a level or two above the task's, so that its neighbours are on the map with it. */
function scopeOf(board: ReturnType<typeof useBoard>, task: Shown): string {
  const levels = board.frame.map().levels;
  const index = levels.findIndex((one) => one.id === task.level);
  if (index < 2) return "";
  // the codes of a level have one length; a parent's code is a prefix of its children's
  const above = levels[Math.max(1, index - 2)];
  const county = above?.counties[0]?.[0] ?? "";
  return county !== "" && task.code.startsWith(county.slice(0, 4))
    ? task.code.slice(0, county.length)
    : "";
}
