/**
 * One question at a time while the question keeps changing: the next is asked when the answer of the last
 * is there, what came in between is left out. So a moving shape has a number at every moment, and the
 * server never more than one question of it.
 */
import { type Accessor, createEffect, createSignal, on, onCleanup } from "solid-js";
import { Failure, isAbort } from "../api/client";

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
      setFailure(error instanceof Failure ? error : new Failure(0, "unknown", String(error), null));
      setFresh(waiting === null);
    }
    controller = null;
    const next = waiting;
    waiting = null;
    if (next) void run(next.asked);
  };

  createEffect(
    on(question, (asked) => {
      setFresh(false);
      if (asked === null) {
        controller?.abort();
        controller = null;
        waiting = null;
        setData(undefined);
        setFailure(undefined);
      } else if (controller) waiting = { asked };
      else void run(asked);
    }),
  );
  onCleanup(() => controller?.abort());
  return { data, took, failure, fresh };
}
