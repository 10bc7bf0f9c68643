/** The URL's hash as a signal: the only state of the page besides the server. */
import { batch, createSignal, onCleanup } from "solid-js";
import { createStore } from "solid-js/store";
import { parse, serialise, type ViewState } from "./hash";
import { keepLook, keptLook, withLook } from "./taste";

export interface View<S extends ViewState = ViewState> {
  state: S;
  /** Change some parts. `push`: a step the back button undoes; otherwise it replaces. */
  go: (patch: Partial<S>, how?: "push" | "replace") => void;
  /** The address of this very view. */
  link: () => string;
}

/** How a page's own state is read from a hash and written into one. */
export interface Codec<S extends ViewState> {
  parse: (hash: string) => S;
  serialise: (state: S) => string;
}

/** The command view's state; another page gives the codec of its own. */
export function createView(): View;
export function createView<S extends ViewState>(codec: Codec<S>): View<S>;
export function createView(codec: Codec<ViewState> = { parse, serialise }): View {
  const here = () => withLook(codec.parse(location.hash), location.hash, keptLook());
  const [state, setState] = createStore<ViewState>(here());
  const [link, setLink] = createSignal(location.href);
  // A part that changed is replaced as a whole: whoever reads a list need not read all that is in it to
  // hear of a change deep inside.
  const put = (next: ViewState) =>
    batch(() => {
      for (const [key, value] of Object.entries(next)) {
        const known = state[key as keyof ViewState];
        if (JSON.stringify(known) !== JSON.stringify(value)) setState(key as "map", value);
      }
    });
  const read = () => {
    put(here());
    setLink(location.href);
  };
  addEventListener("hashchange", read);
  addEventListener("popstate", read);
  onCleanup(() => {
    removeEventListener("hashchange", read);
    removeEventListener("popstate", read);
  });

  const go: View["go"] = (patch, how = "push") => {
    keepLook(patch);
    const next = { ...state, ...patch };
    const hash = codec.serialise(next);
    if (hash === codec.serialise(state)) return;
    const address = location.pathname + location.search + hash;
    if (how === "push") history.pushState(null, "", address);
    else history.replaceState(null, "", address);
    put(next);
    setLink(location.href);
  };
  return { state, go, link };
}
