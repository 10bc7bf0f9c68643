/** Scale bar: a round distance at the map's centre. */
import { createEffect, createSignal, onCleanup, Show } from "solid-js";
import type { MapHandle } from "./map.view";

const ROUND = [
  1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000,
  500_000,
];

/** Longest round distance whose bar is at most `room` px. Metres per pixel at 512-px tiles. */
export function scaleOf(
  latitude: number,
  zoom: number,
  room: number,
): { metres: number; px: number } {
  const perPx = (40_075_016.686 * Math.cos((latitude * Math.PI) / 180)) / (512 * 2 ** zoom);
  const metres = ROUND.findLast((one) => one / perPx <= room) ?? 1;
  return { metres, px: metres / perPx };
}

export function ScaleBar(props: { handle: MapHandle | undefined; room?: number }) {
  const [scale, setScale] = createSignal<{ metres: number; px: number }>();
  createEffect(() => {
    const map = props.handle?.map;
    if (!map) return;
    const read = () => setScale(scaleOf(map.getCenter().lat, map.getZoom(), props.room ?? 90));
    read();
    map.on("move", read);
    onCleanup(() => map.off("move", read));
  });
  const text = (metres: number) => (metres >= 1000 ? `${metres / 1000} km` : `${metres} m`);
  return (
    <Show when={scale()}>
      {(one) => (
        <div class="scale">
          <i style={{ width: `${one().px}px` }} />
          <span>{text(one().metres)}</span>
        </div>
      )}
    </Show>
  );
}
