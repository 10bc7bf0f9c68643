/**
 * One question at a time while the question keeps changing: the next is asked when the answer of the last
 * is there, what came in between is left out. So a moving shape has a number at every moment, and the
 * server never more than one question of it.
 */
import { type Accessor, createEffect, createSignal, on, onCleanup } from "solid-js";
import { Failure, isAbort } from "../api/client";

/** Least time between two questions, ms: an account may ask about five areas a second. */
const GAP_MS = 220;

export interface Latest<T> {
  data: Accessor<T | undefined>;
  /** Milliseconds from the question to its answer. */
  took: Accessor<number | undefined>;
  failure: Accessor<Failure | undefined>;
  /** True when `data` answers the present question. */
  fresh: Accessor<boolean>;
}

export function createLatest<K, T>(
  question: Accessor<K | null>,
  load: (question: K, signal: AbortSignal) => Promise<T>,
): Latest<T> {
  const [data, setData] = createSignal<T>();
  const [took, setTook] = createSignal<number>();
  const [failure, setFailure] = createSignal<Failure>();
  const [fresh, setFresh] = createSignal(false);
  let controller: AbortController | null = null;
  let waiting: { asked: K } | null = null;
  let pause: ReturnType<typeof setTimeout> | undefined;

  const run = async (asked: K): Promise<void> => {
    const own = new AbortController();
    controller = own;
    const began = performance.now();
    try {
      const answer = await load(asked, own.signal);
      if (own.signal.aborted) return;
      setData(() => answer);
      setTook(performance.now() - began);
      setFailure(undefined);
      setFresh(waiting === null);
    } catch (error) {
      if (own.signal.aborted || isAbort(error)) return;
      setTook(undefined);
      setFailure(error instanceof Failure ? error : new Failure(0, "unknown", String(error), null));
      setFresh(waiting === null);
    }
    const rest = Math.max(0, GAP_MS - (performance.now() - began));
    pause = setTimeout(() => {
      controller = null;
      const next = waiting;
      waiting = null;
      if (next) void run(next.asked);
    }, rest);
  };

  createEffect(
    on(question, (asked) => {
      setFresh(false);
      if (asked === null) {
        controller?.abort();
        clearTimeout(pause);
        controller = null;
        waiting = null;
        setData(undefined);
        setFailure(undefined);
      } else if (controller) waiting = { asked };
      else void run(asked);
    }),
  );
  onCleanup(() => {
    controller?.abort();
    clearTimeout(pause);
  });
  return { data, took, failure, fresh };
}
