/** Who is logged in and what they may do: asked once per page, shared by all that stands in the bars. */
import { createRoot, createSignal } from "solid-js";
import { ask, type SessionInfo } from "../api/session";

const [me, setMe] = createRoot(() => createSignal<SessionInfo>());
let asked = false;

/** The session once it is known. */
export function session(): SessionInfo | undefined {
  if (!asked) {
    asked = true;
    void ask<SessionInfo>("GET", "/api/session").then(({ answer }) => setMe(answer));
  }
  return me();
}

/** Whether one may do something; nothing is known: no. */
export function may(action: string): boolean {
  return session()?.actions.includes(action as never) ?? false;
}
