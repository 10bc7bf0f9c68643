/**
 * Who is at the border now: sides and desks, never persons. While this page is open it says so every half
 * minute, where the account may answer checks; the server lets go of a page it has not heard for 90 s.
 */
import { type Accessor, createEffect, createMemo, on, onCleanup } from "solid-js";
import { send } from "../api/client";
import { away } from "../offline/offline";
import { createKept } from "./kept";
import type { PresenceList } from "./types";

const SAY_MS = 30_000;

export interface PresenceNow {
  /** Whether a desk has its page open, as far as is known now. */
  desk: (id: number) => boolean;
  /** Sides with a page open, one's own included. */
  sides: Accessor<readonly string[]>;
  reload: () => void;
}

/** `address`: null while nothing may be asked; `says`: whether this page counts as a desk's. */
export function createPresence(
  address: Accessor<string | null>,
  says: Accessor<boolean>,
): PresenceNow {
  const kept = createKept<PresenceList>(address);
  const say = () => {
    const where = address();
    if (where === null || !says() || away()) return;
    // what does not arrive is said again soon
    send("POST", where, {}).catch(() => undefined);
  };
  createEffect(on([address, says], say));
  const timer = setInterval(() => {
    say();
    if (address() !== null) kept.reload();
  }, SAY_MS);
  onCleanup(() => clearInterval(timer));
  const there = createMemo(() => (away() || kept.kept() ? [] : (kept.value()?.present ?? [])));
  return {
    desk: (id) => there().some((one) => one.desk === id),
    sides: createMemo(() => [...new Set(there().map((one) => one.side))]),
    reload: kept.reload,
  };
}
