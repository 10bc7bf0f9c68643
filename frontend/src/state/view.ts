/** The URL's hash as a signal: the only state of the page besides the server. */
import { createSignal, onCleanup } from "solid-js";
import { createStore, reconcile } from "solid-js/store";
import { parse, serialise, type ViewState } from "./hash";

export interface View {
  state: ViewState;
  /** Change some parts. `push`: a step the back button undoes; otherwise it replaces. */
  go: (patch: Partial<ViewState>, how?: "push" | "replace") => void;
  /** The address of this very view. */
  link: () => string;
}

export function createView(): View {
  const [state, setState] = createStore<ViewState>(parse(location.hash));
  const [link, setLink] = createSignal(location.href);
  const read = () => {
    setState(reconcile(parse(location.hash)));
    setLink(location.href);
  };
  addEventListener("hashchange", read);
  addEventListener("popstate", read);
  onCleanup(() => {
    removeEventListener("hashchange", read);
    removeEventListener("popstate", read);
  });

  const go: View["go"] = (patch, how = "push") => {
    const next = { ...state, ...patch };
    const hash = serialise(next);
    if (hash === serialise(state)) return;
    const address = location.pathname + location.search + hash;
    if (how === "push") history.pushState(null, "", address);
    else history.replaceState(null, "", address);
    setState(reconcile(next));
    setLink(location.href);
  };
  return { state, go, link };
}
