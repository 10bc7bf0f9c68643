/** Something said at a place of the map; it moves with the map. */
import type { MapLibreMap } from "maplibre-gl";
import { createEffect, createSignal, type JSX, onCleanup, Show } from "solid-js";
import type { Position } from "../draw/shapes";

export function Spot(props: {
  map: MapLibreMap | undefined;
  at: Position;
  class: string;
  /** Above the place, not below it. */
  above?: boolean;
  children: JSX.Element;
}) {
  const [place, setPlace] = createSignal<{ x: number; y: number }>();
  createEffect(() => {
    const { map, at } = props;
    if (!map) return;
    const follow = () => setPlace(map.project(at));
    follow();
    map.on("move", follow);
    onCleanup(() => map.off("move", follow));
  });
  return (
    <Show when={place()}>
      {(one) => (
        <div
          class="spot-at"
          classList={{ "spot-above": props.above ?? false }}
          style={{ transform: `translate(${one().x}px, ${one().y}px)` }}
        >
          <div class={props.class}>{props.children}</div>
        </div>
      )}
    </Show>
  );
}
