/**
 * What the command view knows of alerts and tasks: who may dispatch, the alerts of the selected unit, and
 * for the wall what happens now and how the loop runs. Heard again whenever the server tells of a change.
 */
import { type Accessor, createEffect, createMemo, createSignal, onCleanup } from "solid-js";
import { type Answer, createAnswer } from "../api/answer";
import { Failure, request, send } from "../api/client";
import type { MapInfo } from "../api/models";
import { ask, type SessionInfo } from "../api/session";
import {
  type Alert,
  type AlertList,
  alertAddresses,
  type Loop,
  type Task,
  taskAddresses,
} from "../api/tasks";
import { alertShown, marked, monthStart } from "./alert-rules";

export interface AlertModel {
  /** The alert the panel speaks of: of the selected unit and the kind shown. */
  alert: Accessor<Alert | undefined>;
  /** Codes of units of the shown level with an open alert of the kind shown. */
  marks: Accessor<readonly string[]>;
  /** May make tasks. */
  dispatch: Accessor<boolean>;
  /** May open the tasks page. */
  work: Accessor<boolean>;
  /** Make a patrol task of an alert; answers it, or why not. */
  make: (alert: Alert) => Promise<Task | Failure>;
  /** The newest alerts inside the scope, for the wall. */
  feed: Answer<Alert[]>;
  loop: Answer<Loop>;
}

const SETTLE_MS = 400;
/** Rows of the feed; more are asked for, since the most urgent come first and the newest are shown. */
const FEED_ASKED = 200;
/** Most alerts marked on the map, the most urgent. */
const MARKED = 300;

async function json<T>(address: string, signal: AbortSignal): Promise<T> {
  return (await (await request(address, signal, { cache: "no-store" })).json()) as T;
}

export function createAlerts(
  map: Accessor<MapInfo>,
  asked: {
    unit: Accessor<string>;
    kind: Accessor<string>;
    within: Accessor<string>;
    level: Accessor<string>;
  },
  wall: boolean,
): AlertModel {
  const [me, setMe] = createSignal<SessionInfo>();
  void ask<SessionInfo>("GET", "/api/session").then(({ answer }) => setMe(answer));
  const may = (action: string) => ((me()?.actions ?? []) as readonly string[]).includes(action);

  // one change is told several times (alert, task, step): they are heard together
  const [turn, setTurn] = createSignal(0);
  createEffect(() => {
    if (!me()) return;
    const stream = new EventSource("/api/live?topics=alert,task,run");
    let timer: ReturnType<typeof setTimeout> | undefined;
    const changed = () => {
      clearTimeout(timer);
      timer = setTimeout(() => setTurn((n) => n + 1), SETTLE_MS);
    };
    for (const topic of ["alert", "task", "run"]) stream.addEventListener(topic, changed);
    onCleanup(() => {
      clearTimeout(timer);
      stream.close();
    });
  });

  const unitAlerts = createAnswer(
    () =>
      wall || asked.unit() === ""
        ? null
        : { address: alertAddresses.list(map().pack, asked.unit()), turn: turn() },
    async ({ address }, signal) => (await json<AlertList>(address, signal)).alerts,
  );
  const alert = createMemo(() => alertShown(unitAlerts.data() ?? [], asked.unit(), asked.kind()));
  const open = createAnswer(
    () =>
      wall || !me()
        ? null
        : { address: alertAddresses.open(map().pack, asked.within(), MARKED), turn: turn() },
    async ({ address }, signal) => (await json<AlertList>(address, signal)).alerts,
  );
  const marks = createMemo(() => marked(open.data() ?? [], asked.kind(), asked.level()), [], {
    equals: (a, b) => a.join() === b.join(),
  });
  const feed = createAnswer(
    () =>
      wall
        ? { address: alertAddresses.open(map().pack, asked.within(), FEED_ASKED), turn: turn() }
        : null,
    async ({ address }, signal) => (await json<AlertList>(address, signal)).alerts,
  );
  const loop = createAnswer(
    () =>
      wall
        ? {
            address: alertAddresses.loop(
              map().pack,
              monthStart(new Date(), map().time_zone),
              asked.within(),
            ),
            turn: turn(),
          }
        : null,
    ({ address }, signal) => json<Loop>(address, signal),
  );
  const make = async (one: Alert): Promise<Task | Failure> => {
    try {
      const body = { alert: one.id, key: crypto.randomUUID() };
      const task = (await (await send("POST", taskAddresses.all, body)).json()) as Task;
      setTurn((n) => n + 1);
      return task;
    } catch (error) {
      setTurn((n) => n + 1);
      return error instanceof Failure ? error : new Failure(0, "unknown", String(error), null);
    }
  };
  return {
    alert,
    marks,
    dispatch: () => may("dispatch"),
    work: () => may("work_tasks"),
    make,
    feed,
    loop,
  };
}
