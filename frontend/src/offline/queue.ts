/**
 * What is to be sent, in order, until the server has said yes or no. Promises: an action is on the disk
 * before it is sent; it leaves only when the server took it or a person let it go; every try carries the
 * same `Idempotency-Key`; an account's actions are sent under that account alone.
 */
import { isAway } from "./rules";
import type { Store } from "./store";

/** Why the server said no. */
export interface No {
  status: number;
  code: string;
  message: string;
  at: string;
}

export interface Action {
  /** Idempotency key. */
  key: string;
  account: string;
  method: "POST" | "PATCH" | "DELETE";
  address: string;
  /** JSON; with `form`, the fields of a form (files as blobs) in its place. */
  body?: unknown;
  form?: readonly (readonly [name: string, value: string | Blob, file?: string])[];
  /** What it is, in the words of the one who asked for it. */
  title: string;
  /** Anything a page wants to find it again by. */
  of: string;
  /** When it was asked for, ISO. */
  at: string;
  tries: number;
  refused: No | null;
}

export type Draft = Pick<Action, "method" | "address" | "title" | "of"> &
  Partial<Pick<Action, "body" | "form">>;

/** What came of one try. `away`: nobody answered, or the server asked to come again. */
export type Outcome = { kind: "taken"; value: unknown } | { kind: "away" } | { kind: "no"; no: No };

export type Sender = (action: Action) => Promise<Outcome>;

/** Whose actions these are, on every page alike; empty while the session is not known. */
export function ownerOf(session: { access: string; account?: number | null } | undefined): string {
  return session ? `${session.access} ${session.account ?? "-"}` : "";
}

/** Whether trying again later may help: no answer, a login that ended, too many at once. */
export function isLater(status: number): boolean {
  return isAway(status) || status === 401 || status === 429;
}

export class Queue {
  private busy: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly store: Store<Action>,
    private readonly sender: Sender,
    private readonly clock: () => Date = () => new Date(),
  ) {}

  get lasting(): boolean {
    return this.store.lasting;
  }

  /** Put an action on the disk. */
  async add(draft: Draft, account: string): Promise<Action> {
    const action: Action = {
      ...draft,
      key: crypto.randomUUID(),
      account,
      at: this.clock().toISOString(),
      tries: 0,
      refused: null,
    };
    await this.store.put(action);
    return action;
  }

  /** Actions of an account, oldest first. */
  async of(account: string): Promise<Action[]> {
    return (await this.store.all()).filter((one) => one.account === account);
  }

  /** How many wait for another account. */
  async others(account: string): Promise<number> {
    return (await this.store.all()).filter((one) => one.account !== account).length;
  }

  /** Let an action go: the only other way out. */
  drop(key: string): Promise<void> {
    return this.store.drop(key);
  }

  /** Let an action that was refused be tried once more. */
  async again(key: string): Promise<void> {
    const found = (await this.store.all()).find((one) => one.key === key);
    if (found) await this.store.put({ ...found, refused: null });
  }

  /**
   * Send what waits, one after another; stop where nobody answers. Answers what was taken, by key. Two
   * pages of one browser take turns.
   */
  flush(account: string): Promise<Map<string, unknown>> {
    const turn = this.busy.then(() => inTurn(() => this.send(account)));
    this.busy = turn.catch(() => undefined);
    return turn;
  }

  private async send(account: string): Promise<Map<string, unknown>> {
    const taken = new Map<string, unknown>();
    for (const action of await this.of(account)) {
      if (action.refused) continue;
      const outcome = await this.sender(action);
      if (outcome.kind === "away") {
        await this.store.put({ ...action, tries: action.tries + 1 });
        break;
      }
      if (outcome.kind === "no") {
        await this.store.put({ ...action, tries: action.tries + 1, refused: outcome.no });
        continue;
      }
      await this.store.drop(action.key);
      taken.set(action.key, outcome.value);
    }
    return taken;
  }
}

function inTurn<T>(work: () => Promise<T>): Promise<T> {
  const locks = typeof navigator === "undefined" ? undefined : navigator.locks;
  return locks ? (locks.request("wusetu-queue", work) as Promise<T>) : work();
}
