/** The command view: the desk, or the wall from 1900 px on. */
import { createEffect, createMemo, createSignal, onCleanup, Show } from "solid-js";
import type { Manifest } from "../api/models";
import { createView } from "../state/view";
import { DeskView } from "./desk.view";
import { FrameProvider } from "./frame";
import { createModel, ModelProvider } from "./model";
import { Root, wear } from "./root.view";
import { WallView } from "./wall.view";

/** `?wall` from 1900 px on. */
export function isWall(search: string, width: number): boolean {
  return new URLSearchParams(search).has("wall") && width >= 1900;
}

export function App() {
  const view = createView();
  const [wide, setWide] = createSignal(innerWidth);
  const wall = createMemo(() => isWall(location.search, wide()));
  const resized = () => setWide(innerWidth);
  addEventListener("resize", resized);
  onCleanup(() => removeEventListener("resize", resized));
  return (
    <Root
      view={view}
      wall={wall()}
      page={(known, lost) => (
        <Show when={wall() ? "wall" : "desk"} keyed>
          {(layout) => <Page view={view} manifest={known} wall={layout === "wall"} lost={lost()} />}
        </Show>
      )}
    />
  );
}

function Page(props: {
  view: ReturnType<typeof createView>;
  manifest: () => Manifest;
  wall: boolean;
  lost: boolean;
}) {
  const model = createModel(props.view, props.manifest, props.wall);
  createEffect(() => {
    const root = document.documentElement;
    wear(model.theme());
    root.dataset.pattern = String(model.view.state.pattern);
    root.dataset.layout = props.wall ? "wall" : "desk";
    document.title = `${model.scopeName()} · ${model.words().product}`;
  });
  return (
    <FrameProvider value={model}>
      <ModelProvider value={model}>
        <Show when={props.wall} fallback={<DeskView lost={props.lost} />}>
          <WallView lost={props.lost} />
        </Show>
      </ModelProvider>
    </FrameProvider>
  );
}
