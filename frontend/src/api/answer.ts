/**
 * One question whose answer is shown: keeps the last answer until the next is there, drops superseded
 * ones, says `slow` only after 300 ms, retries once by itself 15 s after a failure, and again whenever the
 * server is heard to answer (`askAgain`): a wall has nobody to press a button.
 */
import { type Accessor, createEffect, createSignal, on, onCleanup, untrack } from "solid-js";
import { Failure, isAbort } from "./client";

export const SLOW_MS = 300;
export const RETRY_MS = 15_000;
/** Least pause between two tries of one question, ms. */
const GAP_MS = 2_000;

export interface Answer<T> {
  /** The newest answer, possibly of the question before. */
  data: Accessor<T | undefined>;
  /** True when `data` answers the present question. */
  fresh: Accessor<boolean>;
  slow: Accessor<boolean>;
  failure: Accessor<Failure | undefined>;
  failedAt: Accessor<Date | undefined>;
  retry: () => void;
}

const [heard, setHeard] = createSignal(0);

/** The server answers: whatever failed for its silence is asked anew. */
export function askAgain(): void {
  setHeard((n) => n + 1);
}

export function createAnswer<K, T>(
  question: Accessor<K | null>,
  load: (question: K, signal: AbortSignal) => Promise<T>,
): Answer<T> {
  const [data, setData] = createSignal<T | undefined>(undefined, { equals: false });
  const [fresh, setFresh] = createSignal(false);
  const [slow, setSlow] = createSignal(false);
  const [failure, setFailure] = createSignal<Failure>();
  const [failedAt, setFailedAt] = createSignal<Date>();
  const [turn, setTurn] = createSignal(0);
  let retriedFor = "";

  createEffect(
    on([question, turn], ([asked]) => {
      setFresh(false);
      setFailure(undefined);
      if (asked === null) {
        setData(undefined);
        setSlow(false);
        return;
      }
      const controller = new AbortController();
      const timer = setTimeout(() => setSlow(true), SLOW_MS);
      let again: ReturnType<typeof setTimeout> | undefined;
      const settle = () => {
        clearTimeout(timer);
        setSlow(false);
      };
      load(asked, controller.signal)
        .then((answer) => {
          if (controller.signal.aborted) return;
          settle();
          setData(() => answer);
          setFresh(true);
        })
        .catch((error: unknown) => {
          if (controller.signal.aborted || isAbort(error)) return;
          settle();
          setFailedAt(new Date());
          setFailure(
            error instanceof Failure ? error : new Failure(0, "unknown", String(error), null),
          );
          const key = JSON.stringify(asked);
          if (retriedFor !== key) {
            retriedFor = key;
            again = setTimeout(() => setTurn((n) => n + 1), RETRY_MS);
          }
        });
      onCleanup(() => {
        controller.abort();
        clearTimeout(timer);
        clearTimeout(again);
        setSlow(false);
      });
    }),
  );

  createEffect(
    on(
      heard,
      () => {
        const failed = untrack(failure);
        if (!failed || (failed.status !== 0 && failed.status < 500)) return;
        // a question that fails while others are answered must not be asked without a pause
        const since = Date.now() - (untrack(failedAt)?.getTime() ?? 0);
        const timer = setTimeout(() => setTurn((n) => n + 1), Math.max(0, GAP_MS - since));
        onCleanup(() => clearTimeout(timer));
      },
      { defer: true },
    ),
  );

  return { data, fresh, slow, failure, failedAt, retry: () => setTurn((n) => n + 1) };
}
