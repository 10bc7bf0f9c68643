/**
 * What this page knows: who asks, the tasks as the server last told them, and what waits to be sent. One
 * object per page. Everything is also kept on this device, so that it opens without a signal.
 */
import {
  type Accessor,
  createContext,
  createEffect,
  createMemo,
  createSignal,
  on,
  onCleanup,
  useContext,
} from "solid-js";
import { type Failure, isAbort } from "../api/client";
import type { SessionInfo } from "../api/session";
import { type Task, type TaskList, taskAddresses } from "../api/tasks";
import { type Frame, FrameProvider } from "../command/frame";
import {
  away,
  heard,
  note,
  noted,
  returned,
  since,
  startOffline,
  unnote,
} from "../offline/offline";
import { createOutbox, type Outbox } from "../offline/outbox";
import { type Action, ownerOf } from "../offline/queue";
import type { View } from "../state/view";
import { prefetch } from "./prefetch";
import type { TasksState } from "./state";
import {
  freshest,
  type Hands,
  isOpen,
  type Shown,
  type StepName,
  sorted,
  withOne,
  withWaiting,
} from "./steps";
import { type TaskWords, taskWords } from "./words";

export { FrameProvider };

export interface Board {
  frame: Frame;
  view: View<TasksState>;
  say: Accessor<TaskWords>;
  now: Accessor<Date>;
  zone: Accessor<string>;
  me: Accessor<SessionInfo | undefined>;
  hands: Accessor<Hands>;
  /** Undefined: not known yet. */
  tasks: Accessor<Shown[] | undefined>;
  failure: Accessor<Failure | undefined>;
  open: Accessor<Shown | undefined>;
  outbox: Outbox;
  /** When the tasks were last heard from the server. */
  heardAt: Accessor<Date | undefined>;
  away: Accessor<boolean>;
  waiting: Accessor<readonly Action[]>;
  refused: Accessor<readonly Action[]>;
  refresh: () => Promise<void>;
  kindName: (kind: string) => string;
  title: (task: Task) => string;
  /** In the language of the page. */
  both: (words: { zh: string; en: string }) => string;
  /** Something of this account on this device. */
  remember: (key: string, value: unknown) => Promise<void>;
  recall: <T>(key: string) => Promise<T | null>;
  forget: (key: string) => Promise<void>;
}

const Context = createContext<Board>();

export const BoardProvider = Context.Provider;

export function useBoard(): Board {
  const board = useContext(Context);
  if (!board) throw new Error("useBoard outside of its provider");
  return board;
}

/** What an action is to a task: `task:12:accepted`, `task:12:photo`. */
export function ofTask(task: number, what: string): string {
  return `task:${task}:${what}`;
}

export function readOf(of: string): { task: number; what: string } | null {
  const found = /^task:(\d+):(\w+)$/.exec(of);
  return found ? { task: Number(found[1]), what: found[2] as string } : null;
}

const STEPS: readonly string[] = [
  "accepted",
  "declined",
  "on_site",
  "feedback",
  "verified",
  "returned",
  "handed_over",
  "closed",
];

/** Steps that wait, as the list needs them. */
export function waitingOf(actions: readonly Action[]) {
  return actions.flatMap((one) => {
    const found = one.refused ? null : readOf(one.of);
    if (!found) return [];
    const to = STEPS.includes(found.what) ? (found.what as StepName) : ("" as const);
    return [{ task: found.task, to, at: one.at }];
  });
}

function isTask(answer: unknown): answer is Task {
  return typeof answer === "object" && answer !== null && "steps" in answer && "version" in answer;
}

export function createBoard(frame: Frame, view: View<TasksState>): Board {
  startOffline();
  const say = createMemo(() => taskWords(view.state.lang));
  const [now, setNow] = createSignal(new Date());
  const clock = setInterval(() => setNow(new Date()), 20_000);
  onCleanup(() => clearInterval(clock));

  const [me, setMe] = createSignal<SessionInfo>();
  const [told, setTold] = createSignal<Task[]>();
  const [heardAt, setHeardAt] = createSignal<Date>();
  const [failure, setFailure] = createSignal<Failure>();
  const pack = createMemo(() => frame.map().pack);

  let asked = 0;
  const refresh = async () => {
    asked += 1;
    const turn = asked;
    try {
      const { value, at } = await heard<TaskList>(taskAddresses.list(pack()));
      if (turn !== asked) return;
      setTold((known) => freshest(known, value.tasks));
      setHeardAt(at);
      setFailure(undefined);
    } catch (error) {
      if (turn !== asked || isAbort(error)) return;
      setFailure(error as Failure);
    }
  };
  const know = () =>
    heard<SessionInfo>("/api/session").then(
      ({ value }) => setMe(value),
      () => undefined,
    );

  const outbox = createOutbox(
    () => ownerOf(me()),
    (_key, answer) => {
      // a step is answered with the task after it; anything else is asked for
      if (isTask(answer)) setTold((known) => known && withOne(known, answer));
      else void refresh();
    },
  );
  createEffect(on([pack, returned], () => void Promise.all([know(), refresh()])));

  // What others do to the tasks is heard as it happens; without a signal nobody is asked.
  createEffect(() => {
    if (away() || me() === undefined) return;
    const stream = new EventSource("/api/live?topics=task,alert");
    const changed = () => void refresh();
    for (const topic of ["task", "alert"]) stream.addEventListener(topic, changed);
    onCleanup(() => stream.close());
  });

  const tasks = createMemo(() => {
    const known = told();
    if (!known) return undefined;
    const late = known.map((one) => ({
      ...one,
      overdue: one.overdue || (isOpen(one.state) && new Date(one.due_at) < now()),
    }));
    return sorted(withWaiting(late, waitingOf(outbox.actions())));
  });
  // the small maps of the tasks under way, before the signal is lost
  const [working, setWorking] = createSignal(0);
  const worker = navigator.serviceWorker;
  const begun = () => setWorking((n) => n + 1);
  worker?.addEventListener("controllerchange", begun);
  onCleanup(() => worker?.removeEventListener("controllerchange", begun));
  createEffect(
    on([told, working, frame.map], ([known, , map]) => {
      if (known && !away())
        void prefetch(
          map,
          known.filter((one) => isOpen(one.state)),
        );
    }),
  );
  const open = createMemo(() => tasks()?.find((one) => one.id === view.state.task));
  const hands = createMemo((): Hands => {
    const actions: readonly string[] = me()?.actions ?? [];
    return { work: actions.includes("work_tasks"), dispatch: actions.includes("dispatch") };
  });
  const kindName = (kind: string) => {
    const found = frame.map().kinds.find((one) => one.id === kind);
    return found ? frame.title(found.title) : kind;
  };
  const mine = (key: string) => `tasks:${me()?.name ?? ""}:${key}`;

  return {
    frame,
    view,
    say,
    now,
    zone: () => frame.map().time_zone,
    me,
    hands,
    tasks,
    failure,
    open,
    outbox,
    heardAt: () => (away() ? (heardAt() ?? since()) : heardAt()),
    away,
    waiting: createMemo(() => outbox.actions().filter((one) => !one.refused)),
    refused: createMemo(() => outbox.actions().filter((one) => one.refused)),
    refresh,
    kindName,
    title: (task) => `${task.title ? frame.title(task.title) : kindName(task.kind)} · ${task.name}`,
    both: (words) => words[view.state.lang] || words.zh,
    remember: (key, value) => note(mine(key), value),
    recall: async <T>(key: string) => (await noted<T>(mine(key)))?.value ?? null,
    forget: (key) => unnote(mine(key)),
  };
}
