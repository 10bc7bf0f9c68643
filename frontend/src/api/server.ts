/**
 * Whether the server speaks with its database: it says so of answers from its memory. A doubt (an
 * answer that did not come) is only a reason to ask at once; the manifest's answer decides.
 */
import { createSignal } from "solid-js";

export const STALE = "x-wusetu-stale";

const [staleSince, setStaleSince] = createSignal<string>();
const [doubts, setDoubts] = createSignal(0);

/** ISO time since when answers may be out of date; undefined: they are not. */
export { doubts, staleSince };

/** No answer, or one of a proxy or server in trouble. */
export function isDoubtful(status: number): boolean {
  return status === 0 || (status >= 502 && status <= 504);
}

/** Hear of one answer; only a manifest proves that all is well again. */
export function heardAnswer(address: string, status: number, stale: string | null): void {
  if (stale !== null) setStaleSince(stale);
  else if (isDoubtful(status)) {
    if (address !== "/api/manifest") setDoubts((n) => n + 1);
  } else if (address === "/api/manifest" && status < 400) setStaleSince(undefined);
}
