/** What every page stands on: the manifest, its age, and the pages shown when there is no map. */
import {
  createEffect,
  createMemo,
  createSignal,
  For,
  type JSX,
  Match,
  on,
  onCleanup,
  Show,
  Switch,
} from "solid-js";
import { askAgain } from "../api/answer";
import { api, Failure, isAbort } from "../api/client";
import type { Manifest } from "../api/models";
import { doubts, staleSince } from "../api/server";
import { dictionary } from "../i18n";
import type { ViewState } from "../state/hash";
import type { View } from "../state/view";
import { cssVariables, makeTheme, type Theme } from "../style/theme";
import { InkPatterns } from "./ink.view";

const REFRESH_MS = 60_000;
/** Pause between questions while the server or its database is away. */
const AWAY_MS = 5_000;

/** What leads to another map: nothing below the map of before is known there. */
function onlyMap(pack: string): Partial<ViewState> {
  return { map: pack, scope: "", level: "", unit: "", cell: "", camera: null };
}

/** Puts a theme on the page. */
export function wear(theme: Theme): void {
  const root = document.documentElement;
  for (const [name, value] of Object.entries(cssVariables(theme))) {
    root.style.setProperty(name, value);
  }
  root.dataset.theme = theme.name;
  root.dataset.dark = String(theme.dark);
}

/**
 * Fetches the manifest, keeps it young, and says what is wrong when there is none to show. `page` draws
 * the page once a map is known.
 */
export function Root(props: {
  view: View;
  wall?: boolean;
  page: (manifest: () => Manifest, lost: () => boolean) => JSX.Element;
}) {
  const view = props.view;
  const wall = () => props.wall ?? false;
  const [manifest, setManifest] = createSignal<Manifest>();
  const [failure, setFailure] = createSignal<Failure>();
  const words = () => dictionary(view.state.lang);

  const controller = new AbortController();
  const fetchManifest = async () => {
    try {
      const answer = await api.manifest(controller.signal);
      setFailure(undefined);
      askAgain();
      // The same manifest again must not disturb anything on the screen.
      if (JSON.stringify(answer) !== JSON.stringify(manifest())) setManifest(answer);
    } catch (error) {
      if (isAbort(error)) return;
      setFailure(error instanceof Failure ? error : new Failure(0, "unknown", String(error), null));
    }
  };
  fetchManifest();
  const timer = setInterval(fetchManifest, REFRESH_MS);
  // the first answer that fails or is stale is a reason to ask at once, and again until all is well
  createEffect(on(doubts, () => void fetchManifest(), { defer: true }));
  createEffect(() => {
    if (!failure() && !staleSince()) return;
    const again = setInterval(fetchManifest, AWAY_MS);
    onCleanup(() => clearInterval(again));
  });
  onCleanup(() => {
    clearInterval(timer);
    controller.abort();
  });

  /** Maps there are, when the link names none of them: another map is never shown in its stead. */
  const unknown = createMemo(() => {
    const maps = manifest()?.maps ?? [];
    const named = view.state.map;
    return named !== "" && maps.every((one) => one.pack !== named) ? maps : undefined;
  });

  // The pages without a map have the theme too: without its variables a button is bare text.
  createEffect(() => {
    if (!manifest() || unknown())
      wear(makeTheme(wall() ? "wall" : view.state.theme, view.state.palette));
  });
  createEffect(() => {
    document.documentElement.lang = view.state.lang === "zh" ? "zh-CN" : "en";
    document.title = words().product;
  });

  return (
    <Switch fallback={<div class="blank" aria-busy="true" />}>
      <Match when={manifest()?.maps.length === 0}>
        <div class="blank state">
          <h1>{words().noMaps}</h1>
          <p>{words().noMapsText}</p>
        </div>
      </Match>
      <Match when={unknown()}>
        {(maps) => (
          <div class="blank state" role="alert">
            <h1>{words().unknownMap}</h1>
            <p>{words().unknownMapText(view.state.map)}</p>
            <div class="ways">
              <For each={maps()}>
                {(one) => (
                  <button type="button" class="button" onClick={() => view.go(onlyMap(one.pack))}>
                    {one.title[view.state.lang]}
                  </button>
                )}
              </For>
            </div>
          </div>
        )}
      </Match>
      <Match when={manifest()}>
        {(known) => (
          <>
            <Show when={view.state.pattern}>
              <InkPatterns dark={wall() || view.state.theme === "night"} />
            </Show>
            {props.page(known, () => failure() !== undefined)}
          </>
        )}
      </Match>
      <Match when={failure()}>
        {(failed) => (
          <div class="blank state" role="alert">
            <h1>{words().failed(words().failedManifest)}</h1>
            <p>
              {failed().status === 0 || failed().status >= 500
                ? words().failedPage
                : words().failedAnswer(failed().message)}
            </p>
            <Show when={failed().requestId}>
              {(id) => <p class="note">{words().requestId(id())}</p>}
            </Show>
            <button type="button" class="button button-primary" onClick={fetchManifest}>
              {words().retry}
            </button>
          </div>
        )}
      </Match>
    </Switch>
  );
}
