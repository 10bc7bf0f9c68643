/**
 * A page that goes on without a signal. How a page uses it:
 *
 *   startOffline()                          once, at its start: registers `/sw.js`, keeps what is loaded
 *   const told = await heard<T>(address)    GET; `told.kept`: from the cache, heard at `told.at`
 *   away()                                  a signal: the server does not answer; `since()` the age to say
 *   const outbox = createOutbox(account)    what is to be sent (see there); `account`: name of /api/session
 *   note(key, value), noted(key)            what the page wants to know again on this device
 *
 * A page is named in `rules.ts` (PAGES, ANSWERS) and in vite.config.ts. Needs HTTPS or localhost; without
 * a worker everything works as long as there is a signal.
 */
import { createSignal, onCleanup } from "solid-js";
import { Failure, request } from "../api/client";
import { isAway, KEPT } from "./rules";
import { openStore } from "./store";

export interface Told<T> {
  value: T;
  /** When the server said so. */
  at: Date;
  /** True: from the cache, nobody answered now. */
  kept: boolean;
}

const [away, setAway] = createSignal(false);
const [since, setSince] = createSignal<Date>();
const [returned, setReturned] = createSignal(0);

/** `since`: when the server was last heard; undefined: not in this page's time. `returned` counts returns. */
export { away, returned, since };

function answered(): void {
  setSince(new Date());
  if (away()) {
    setAway(false);
    setReturned((n) => n + 1);
  }
}

function silent(kept: Date | null): void {
  if (!away()) {
    // the age of a page is that of the newest it knows
    if (kept && (!since() || kept > (since() as Date))) setSince(kept);
    setAway(true);
  } else if (kept && (!since() || kept > (since() as Date))) setSince(kept);
}

/** Say what came of a request that did not go through `heard` (a stream, a change). */
export function noticed(well: boolean): void {
  if (well) answered();
  else silent(null);
}

/** GET that is answered from the cache when nobody answers; throws `Failure` like `request`. */
export async function heard<T>(address: string, signal?: AbortSignal): Promise<Told<T>> {
  let response: Response;
  try {
    response = await request(address, signal);
  } catch (error) {
    if (error instanceof Failure) {
      if (isAway(error.status)) silent(null);
      else answered();
    }
    throw error;
  }
  const kept = response.headers.get(KEPT);
  if (kept) silent(new Date(kept));
  else answered();
  const value = (await response.json()) as T;
  return { value, at: kept ? new Date(kept) : new Date(), kept: kept !== null };
}

const ASK_MS = 5000;

/** Whether the worker stood between this page and the server from the page's beginning. */
const between = (globalThis.navigator?.serviceWorker?.controller ?? null) !== null;
/** What was asked for before there was a worker, where the browser's own list does not name it. */
const early = new Set<string>();

/**
 * Say what a map asks for. Its requests come from a thread of its own: one that began before there was a
 * worker goes past it, and its requests are in no list of the page.
 */
export function asking(address: string): void {
  if (between || !import.meta.env.PROD) return;
  if (navigator.serviceWorker?.controller) keep([address]);
  else early.add(address);
}

/**
 * Register the worker; keep what this page loaded before there was one; while nobody answers, ask again
 * every few seconds. Call inside a component.
 */
export function startOffline(): void {
  const look = () => {
    if (away()) void heard("/api/session").catch(() => undefined);
  };
  const timer = setInterval(look, ASK_MS);
  addEventListener("online", look);
  const lost = () => silent(null);
  addEventListener("offline", lost);
  onCleanup(() => {
    clearInterval(timer);
    removeEventListener("online", look);
    removeEventListener("offline", lost);
  });
  if (!import.meta.env.PROD || !("serviceWorker" in navigator)) return;
  const { serviceWorker } = navigator;
  serviceWorker.register("/sw.js").catch(() => undefined);
  if (between) return;
  // what was asked for past the worker is asked for again; some of it is still on its way when the worker begins
  const past = new PerformanceObserver((list) => {
    const all = list.getEntries() as PerformanceResourceTiming[];
    keep(all.filter((one) => one.workerStart === 0).map((one) => one.name));
  });
  const begun = () => {
    past.observe({ type: "resource", buffered: true });
    keep([...early]);
    early.clear();
  };
  onCleanup(() => past.disconnect());
  // it may have come while the page was still being put together
  if (serviceWorker.controller !== null) {
    begun();
    return;
  }
  serviceWorker.addEventListener("controllerchange", begun, { once: true });
  onCleanup(() => serviceWorker.removeEventListener("controllerchange", begun));
}

/** Keep addresses that were not asked for yet (tiles of the next zoom, the next task's page). */
export function keep(addresses: readonly string[]): void {
  navigator.serviceWorker?.controller?.postMessage({ keep: [...addresses] });
}

interface Note {
  key: string;
  value: unknown;
  at: string;
}

/** Write down something of the page on this device. */
export async function note(key: string, value: unknown): Promise<void> {
  await (await openStore<Note>("notes")).put({ key, value, at: new Date().toISOString() });
}

/** What was written down, and when; null: nothing. */
export async function noted<T>(key: string): Promise<Told<T> | null> {
  const all = await (await openStore<Note>("notes")).all();
  const found = all.find((one) => one.key === key);
  return found ? { value: found.value as T, at: new Date(found.at), kept: true } : null;
}

export async function unnote(key: string): Promise<void> {
  await (await openStore<Note>("notes")).drop(key);
}
