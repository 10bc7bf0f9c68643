/** The shapes that say who sees a cluster (LOOK 3): rays, a thick ring, a dashed ring. */
import { For, Show } from "solid-js";
import type { Seen } from "./clusters";

const RAYS = Array.from({ length: 12 }, (_, i) => (i * Math.PI) / 6);

export function SeenMark(props: { seen: Seen; size?: number }) {
  return (
    <svg
      class={`seen-mark seen-${props.seen}`}
      width={props.size ?? 24}
      height={props.size ?? 24}
      viewBox="0 0 24 24"
      aria-hidden="true"
    >
      <circle cx="12" cy="12" r="7" />
      <Show when={props.seen === "together"}>
        <For each={RAYS}>
          {(a) => (
            <line
              x1={12 + 8.5 * Math.cos(a)}
              y1={12 + 8.5 * Math.sin(a)}
              x2={12 + 11 * Math.cos(a)}
              y2={12 + 11 * Math.sin(a)}
            />
          )}
        </For>
      </Show>
    </svg>
  );
}
