/** Root of the tasks page: a phone below 720 px, above it a desk with the list and the sheet. */
import {
  createEffect,
  createSignal,
  lazy,
  Match,
  onCleanup,
  Show,
  Suspense,
  Switch,
} from "solid-js";
import { createAnswer } from "../api/answer";
import type { Manifest } from "../api/models";
import { type DeskList, type TaskDesk, taskAddresses } from "../api/tasks";
import { Badges, Bar } from "../command/bar.view";
import { createFrame, FrameProvider } from "../command/frame";
import { returnFocus } from "../command/return-focus";
import { Root, wear } from "../command/root.view";
import { heard } from "../offline/offline";
import { createView, type View } from "../state/view";
import { BoardProvider, createBoard, useBoard } from "./board";
import { Feedback } from "./feedback.view";
import { ListHead, TaskList } from "./list.view";
import { Me } from "./me.view";
import { AgeStrip, TabBar } from "./parts.view";
import { Sheet } from "./sheet.view";
import { parse, serialise, type TasksState } from "./state";
import type { Shown } from "./steps";

const DeskMap = lazy(() => import("./desk-map.view"));

export function App() {
  const view = createView<TasksState>({ parse, serialise });
  return <Root view={view} page={(known) => <Page view={view} manifest={known} />} />;
}

function Page(props: { view: View<TasksState>; manifest: () => Manifest }) {
  const frame = createFrame(props.view, props.manifest, false);
  const board = createBoard(frame, props.view);
  const [width, setWidth] = createSignal(innerWidth);
  const resized = () => setWidth(innerWidth);
  addEventListener("resize", resized);
  onCleanup(() => removeEventListener("resize", resized));
  const desks = createAnswer(
    () => (board.me() ? taskAddresses.desks(frame.map().pack) : null),
    async (address, signal) => (await heard<DeskList>(address, signal)).value.desks,
  );
  createEffect(() => {
    const root = document.documentElement;
    wear(frame.theme());
    root.dataset.pattern = String(props.view.state.pattern);
    root.dataset.layout = "tasks";
    document.title = `${board.say().page} · ${frame.title(frame.map().title)} · ${frame.words().product}`;
  });
  const known = () => desks.data() ?? [];
  let last = 0;
  createEffect(() => {
    if (props.view.state.task > 0) last = props.view.state.task;
  });
  returnFocus(
    () => props.view.state.task > 0,
    () => document.querySelector<HTMLElement>(`.card[data-task="${last}"]`),
  );
  const leave = (event: KeyboardEvent) => {
    const field =
      event.target instanceof HTMLElement && event.target.closest("input, textarea, select");
    if (event.key !== "Escape" || event.defaultPrevented || field) return;
    if (props.view.state.form) props.view.go({ form: false });
    else if (props.view.state.task > 0) props.view.go({ task: 0 });
  };
  addEventListener("keydown", leave);
  onCleanup(() => removeEventListener("keydown", leave));
  return (
    <FrameProvider value={frame}>
      <BoardProvider value={board}>
        <Show when={width() < 720} fallback={<Desk desks={known()} map={width() >= 1200} />}>
          <Phone desks={known()} />
        </Show>
      </BoardProvider>
    </FrameProvider>
  );
}

function Phone(props: { desks: readonly TaskDesk[] }) {
  const board = useBoard();
  const { view } = board;
  return (
    <div class="phone">
      <AgeStrip />
      <Switch>
        <Match when={view.state.task > 0}>
          <main class="phone-main">
            <OneTask desks={props.desks} strip onBack={() => view.go({ task: 0, form: false })} />
          </main>
        </Match>
        <Match when={view.state.tab === "me"}>
          <main class="phone-main scroll">
            <Me />
          </main>
          <TabBar />
        </Match>
        <Match when={true}>
          <main class="phone-main scroll">
            <ListHead />
            <TaskList near onPick={(task) => view.go({ task: task.id, form: false })} />
          </main>
          <TabBar />
        </Match>
      </Switch>
    </div>
  );
}

function Desk(props: { desks: readonly TaskDesk[]; map: boolean }) {
  const board = useBoard();
  const { view, say } = board;
  return (
    <div class="tasks-desk" classList={{ "with-map": props.map }}>
      <Bar current="tasks" end={<Badges />} />
      <AgeStrip />
      <section class="desk-list">
        <ListHead />
        <fieldset class="segments desk-tabs" aria-label={say().tabLabel}>
          <button
            type="button"
            class="segment"
            aria-pressed={view.state.tab !== "done"}
            onClick={() => view.go({ tab: "tasks" }, "replace")}
          >
            {say().tabs.tasks}
          </button>
          <button
            type="button"
            class="segment"
            aria-pressed={view.state.tab === "done"}
            onClick={() => view.go({ tab: "done" }, "replace")}
          >
            {say().tabs.done}
          </button>
        </fieldset>
        <div class="scroll">
          <TaskList near={false} onPick={(task) => view.go({ task: task.id, form: false })} />
        </div>
      </section>
      <Show when={props.map}>
        <section class="desk-map" aria-label={say().map}>
          <Suspense>
            <DeskMap />
          </Suspense>
        </section>
      </Show>
      <main class="desk-sheet">
        <Show
          when={view.state.task > 0}
          fallback={
            <div class="state">
              <h3>{say().pick}</h3>
            </div>
          }
        >
          <OneTask
            desks={props.desks}
            strip={!props.map}
            onClose={() => view.go({ task: 0, form: false })}
          />
        </Show>
      </main>
    </div>
  );
}

/** The sheet of the open task, or its form; a task that is not there is said to be so. */
function OneTask(props: {
  desks: readonly TaskDesk[];
  strip: boolean;
  onBack?: () => void;
  onClose?: () => void;
}) {
  const board = useBoard();
  const { view, say } = board;
  const back = () => view.go({ form: false });
  return (
    <Switch fallback={<div class="state" aria-busy="true" />}>
      <Match when={board.open()}>
        {(task: () => Shown) => (
          <Show
            when={view.state.form && task().state === "on_site" && board.hands().work}
            fallback={
              <Sheet
                task={task()}
                strip={props.strip}
                desks={props.desks}
                {...(props.onBack ? { onBack: props.onBack } : {})}
                {...(props.onClose ? { onClose: props.onClose } : {})}
              />
            }
          >
            <Feedback task={task()} onBack={back} onDone={back} />
          </Show>
        )}
      </Match>
      <Match when={board.tasks() !== undefined || board.failure()}>
        <div class="state" role="alert">
          <h3>{say().unknown}</h3>
          <p>{say().unknownText}</p>
          <button type="button" class="button" onClick={() => view.go({ task: 0, form: false })}>
            {say().back}
          </button>
        </div>
      </Match>
    </Switch>
  );
}
