/** One address whose answer is shown: from the server, or from the cache with its age. Asked again on demand. */
import { type Accessor, createEffect, createSignal, on, onCleanup } from "solid-js";
import { Failure, isAbort } from "../api/client";
import { heard, returned } from "../offline/offline";

export interface Kept<T> {
  value: Accessor<T | undefined>;
  /** When the server said so; undefined: not yet. */
  at: Accessor<Date | undefined>;
  /** Not heard now, but from the cache. */
  kept: Accessor<boolean>;
  failure: Accessor<Failure | undefined>;
  /** Ask again; what is shown stays until the answer is there. */
  reload: () => void;
}

/** `address`: null asks nothing and shows nothing. */
export function createKept<T>(address: Accessor<string | null>): Kept<T> {
  const [value, setValue] = createSignal<T>();
  const [at, setAt] = createSignal<Date>();
  const [kept, setKept] = createSignal(false);
  const [failure, setFailure] = createSignal<Failure>();
  const [turn, setTurn] = createSignal(0);
  let shown: string | null = null;
  createEffect(
    on([address, turn, returned], ([asked]) => {
      if (asked !== shown) {
        setValue(undefined);
        setAt(undefined);
        setFailure(undefined);
        shown = asked;
      }
      if (asked === null) return;
      const controller = new AbortController();
      onCleanup(() => controller.abort());
      heard<T>(asked, controller.signal)
        .then((told) => {
          if (controller.signal.aborted) return;
          setFailure(undefined);
          setAt(told.at);
          setKept(told.kept);
          // the same answer again must not disturb anything on the screen
          if (JSON.stringify(told.value) !== JSON.stringify(value())) setValue(() => told.value);
        })
        .catch((error: unknown) => {
          if (controller.signal.aborted || isAbort(error)) return;
          setFailure(
            error instanceof Failure ? error : new Failure(0, "unknown", String(error), null),
          );
        });
    }),
  );
  return { value, at, kept, failure, reload: () => setTurn((n) => n + 1) };
}
