/** The list: colour edge with its name, place, why in one line, when it is due. */
import { CircleSlash2, CloudCheck, CloudUpload, Unplug } from "lucide";
import { createMemo, createSignal, For, Match, Show, Switch } from "solid-js";
import { Icon } from "../command/icon";
import { LanguageSwitch } from "../command/pages.view";
import { useBoard } from "./board";
import { whereAmI } from "./doing";
import { clockOf, due } from "./due";
import { Edge, Refusals, Tag } from "./parts.view";
import { oneLine } from "./place";
import { type Filter, metres, type Shown, within } from "./steps";

export function ListHead() {
  const board = useBoard();
  const { say, view } = board;
  const count = () =>
    (board.tasks() ?? []).filter((one) => within(one, view.state.tab === "done" ? "done" : "all"))
      .length;
  const desks = () => [
    ...new Set((board.tasks() ?? []).flatMap((one) => (one.desk ? [one.desk] : []))),
  ];
  const sync = () => {
    const at = board.heardAt();
    return at ? say().synced(clockOf(at, board.zone())) : say().neverSynced;
  };
  return (
    <header class="list-head">
      <div class="list-title">
        <h1>{view.state.tab === "done" ? say().doneTitle(count()) : say().title(count())}</h1>
        <LanguageSwitch look={false} />
      </div>
      <p class="sync">
        <Icon node={board.waiting().length > 0 ? CloudUpload : CloudCheck} />

        {sync()}
        <Show when={board.waiting().length > 0}> · {say().waiting(board.waiting().length)}</Show>
        <Show when={desks().length === 1}> · {desks()[0]}</Show>
      </p>
    </header>
  );
}

export function TaskList(props: {
  /** Offers the order by distance: on what one carries along. */
  near: boolean;
  onPick: (task: Shown) => void;
}) {
  const board = useBoard();
  const { say, view } = board;
  const [here, setHere] = createSignal<readonly [number, number]>();
  const [nowhere, setNowhere] = createSignal(false);

  const filters = createMemo((): Filter[] => [
    "all",
    "late",
    "new",
    ...(board.hands().dispatch ? (["check"] as const) : []),
    ...(props.near ? (["near"] as const) : []),
  ]);
  const all = () => board.tasks() ?? [];
  const size = (filter: Filter) => all().filter((one) => within(one, filter)).length;
  const shown = createMemo(() => {
    const filter = view.state.tab === "done" ? "done" : view.state.filter;
    const rows = all().filter((one) => within(one, filter));
    const at = here();
    if (filter === "done") return rows.toReversed();
    if (filter !== "near" || !at) return rows;
    return rows.toSorted((a, b) => metres(at, [a.lon, a.lat]) - metres(at, [b.lon, b.lat]));
  });
  const choose = (filter: Filter) => {
    view.go({ filter }, "replace");
    setNowhere(false);
    if (filter === "near")
      whereAmI().then(
        (found) => setHere([found.lon, found.lat]),
        () => setNowhere(true),
      );
  };
  return (
    <>
      <Show when={view.state.tab !== "done"}>
        <fieldset class="filters" aria-label={say().filterLabel}>
          <For each={filters()}>
            {(filter) => (
              <button
                type="button"
                class="pill"
                aria-pressed={view.state.filter === filter}
                onClick={() => choose(filter)}
              >
                {say().filters[filter]}
                <Show when={filter !== "near"}> {size(filter)}</Show>
              </button>
            )}
          </For>
        </fieldset>
      </Show>
      <Show when={nowhere()}>
        <p class="hint" role="status">
          {say().nearAsk}
        </p>
      </Show>
      <Refusals />
      <Switch>
        <Match when={board.tasks() === undefined && board.failure()}>
          {(failed) => (
            <div class="state" role="alert">
              <Icon node={Unplug} size={28} />
              <h3>{board.frame.words().failed(say().page)}</h3>
              <p>
                {failed().status === 0 || failed().status >= 500
                  ? say().notCached
                  : failed().status === 403
                    ? say().notAllowed
                    : board.frame.words().failedAnswer(failed().message)}
              </p>
              <Show when={failed().requestId}>
                {(id) => <p class="note">{board.frame.words().requestId(id())}</p>}
              </Show>
              <button type="button" class="button button-primary" onClick={() => board.refresh()}>
                {board.frame.words().retry}
              </button>
            </div>
          )}
        </Match>
        <Match when={board.tasks() === undefined}>
          <div class="cards" aria-busy="true">
            <For each={[1, 2, 3]}>{() => <div class="card card-blank" />}</For>
          </div>
        </Match>
        <Match when={shown().length === 0}>
          <div class="state">
            <Icon node={CircleSlash2} size={28} />
            <h3>
              {view.state.tab === "done"
                ? say().emptyDone
                : size("all") === 0
                  ? say().empty
                  : say().emptyFilter}
            </h3>
            <Show when={view.state.tab !== "done" && size("all") === 0}>
              <p>{say().emptyText}</p>
            </Show>
          </div>
        </Match>
        <Match when={true}>
          <ul class="cards" aria-label={say().listLabel}>
            <For each={shown()}>
              {(task) => <Card task={task} here={here()} onPick={() => props.onPick(task)} />}
            </For>
          </ul>
        </Match>
      </Switch>
    </>
  );
}

function Card(props: {
  task: Shown;
  here: readonly [number, number] | undefined;
  onPick: () => void;
}) {
  const board = useBoard();
  const { say, view } = board;
  const end = () => due(props.task.due_at, board.now(), board.zone(), view.state.lang);
  const open = () => within(props.task, "all");
  const far = () => {
    const at = view.state.filter === "near" ? props.here : undefined;
    if (!at) return "";
    const m = metres(at, [props.task.lon, props.task.lat]);
    return say().far(m < 995 ? `${Math.round(m / 10) * 10} m` : `${(m / 1000).toFixed(1)} km`);
  };
  return (
    <li>
      <button
        type="button"
        class="card"
        data-task={props.task.id}
        data-state={props.task.state}
        aria-current={view.state.task === props.task.id ? "true" : undefined}
        onClick={props.onPick}
      >
        <Edge colour={props.task.colour} />
        <span class="card-body">
          <span class="card-top">
            <b>{board.title(props.task)}</b>
            <Tag task={props.task} />
          </span>
          <span class="card-why">{oneLine(board.both(props.task.reason))}</span>
          <span class="card-due">
            <Show when={open()} fallback={<span>{lastTime(board, props.task)}</span>}>
              <span classList={{ late: end().late }}>{end().text}</span>
            </Show>
            <Show when={props.task.escalation !== "none" && open()}>
              {" "}
              · {say().escalation[props.task.escalation]}
            </Show>
            <Show when={far()}> · {far()}</Show>

            <Show when={props.task.waiting > 0}>
              <span class="waits">
                <Icon node={CloudUpload} />
                {say().waitingShort}
              </span>
            </Show>
          </span>
        </span>
      </button>
    </li>
  );
}

function lastTime(board: ReturnType<typeof useBoard>, task: Shown): string {
  const last = task.steps.at(-1)?.at;
  if (!last) return "";
  return `${board.say().tags[task.state]} ${clockDay(board, last)}`;
}

function clockDay(board: ReturnType<typeof useBoard>, iso: string): string {
  const day = new Intl.DateTimeFormat("en-CA", { timeZone: board.zone() }).format(new Date(iso));
  return `${day.slice(5)} ${clockOf(new Date(iso), board.zone())}`;
}
