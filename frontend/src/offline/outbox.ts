/**
 * The queue as a page sees it. `submit` writes an action down and tries to send it at once:
 * `{sent}` the server's answer, `{waiting}` it goes when there is a signal, `{refused}` the server said
 * no: it stays in `actions()` with the reason until it is tried again or let go.
 */
import { type Accessor, createEffect, createSignal, on, onCleanup } from "solid-js";
import { Failure, request } from "../api/client";
import { csrfToken } from "../api/session";
import { away, noticed, returned } from "./offline";
import { type Action, type Draft, isLater, type No, type Outcome, Queue } from "./queue";
import { openStore } from "./store";

export type Result =
  | { kind: "sent"; value: unknown }
  | { kind: "waiting"; action: Action }
  | { kind: "refused"; action: Action; no: No };

export interface Outbox {
  /** What waits or was refused, oldest first. */
  actions: Accessor<readonly Action[]>;
  /** How many wait on this device for another account. */
  others: Accessor<number>;
  /** False: what waits is lost when this page is closed (the browser gives no room). */
  lasting: Accessor<boolean>;
  submit: (draft: Draft) => Promise<Result>;
  /** Write an action down and go on: it is on the disk when this settles, and sent as soon as that can be. */
  write: (draft: Draft) => Promise<Action>;
  /** Send what waits now. */
  flush: () => Promise<void>;
  again: (key: string) => Promise<void>;
  drop: (key: string) => Promise<void>;
}

async function sendNow(action: Action): Promise<Outcome> {
  const headers: Record<string, string> = { "Idempotency-Key": action.key };
  const token = csrfToken(document.cookie);
  if (token) headers["X-CSRF-Token"] = token;
  const init: RequestInit = { method: action.method, headers, cache: "no-store" };
  if (action.form) {
    const form = new FormData();
    for (const [name, value, file] of action.form) {
      if (typeof value === "string") form.append(name, value);
      else form.append(name, value, file);
    }
    init.body = form;
  } else if (action.body !== undefined) {
    headers["Content-Type"] = "application/json";
    init.body = JSON.stringify(action.body);
  }
  try {
    const response = await request(action.address, undefined, init);
    noticed(true);
    return { kind: "taken", value: response.status === 204 ? null : await response.json() };
  } catch (error) {
    const { status, code, message } =
      error instanceof Failure ? error : new Failure(0, "unknown", String(error), null);
    if (isLater(status)) {
      noticed(status === 401 || status === 429);
      return { kind: "away" };
    }
    return { kind: "no", no: { status, code, message, at: new Date().toISOString() } };
  }
}

const AGAIN_MS = 10_000;

/** `account`: whose actions these are; empty while it is not known: then nothing is sent. */
export function createOutbox(
  account: Accessor<string>,
  onSent?: (key: string, answer: unknown) => void,
): Outbox {
  const [actions, setActions] = createSignal<readonly Action[]>([]);
  const [others, setOthers] = createSignal(0);
  const [lasting, setLasting] = createSignal(true);
  const queue = openStore<Action>("queue").then((store) => new Queue(store, sendNow));
  const look = async () => {
    const one = await queue;
    setLasting(one.lasting);
    setActions(await one.of(account()));
    setOthers(account() ? await one.others(account()) : 0);
  };
  const flush = async (): Promise<Map<string, unknown>> => {
    if (!account()) return new Map();
    const taken = await (await queue).flush(account());
    await look();
    for (const [key, answer] of taken) onSent?.(key, answer);
    return taken;
  };
  createEffect(on([account, returned], () => void flush().then(look)));
  const timer = setInterval(() => {
    if (!away() && actions().some((one) => !one.refused)) void flush();
  }, AGAIN_MS);
  onCleanup(() => clearInterval(timer));

  const submit = async (draft: Draft): Promise<Result> => {
    const one = await queue;
    const action = await one.add(draft, account());
    await look();
    const taken = await flush();
    if (taken.has(action.key)) return { kind: "sent", value: taken.get(action.key) };
    const left = (await one.of(account())).find((each) => each.key === action.key);
    // another page of this browser sent it
    if (!left) return { kind: "sent", value: null };
    return left.refused
      ? { kind: "refused", action: left, no: left.refused }
      : { kind: "waiting", action: left };
  };
  return {
    actions,
    others,
    lasting,
    submit,
    write: async (draft) => {
      const action = await (await queue).add(draft, account());
      await look();
      void flush();
      return action;
    },
    flush: async () => void (await flush()),
    again: async (key) => {
      await (await queue).again(key);
      await flush();
    },
    drop: async (key) => {
      await (await queue).drop(key);
      await look();
    },
  };
}
