/** One lucide icon (ISC), 1.75 px stroke, ink only. */
import type { IconNode } from "lucide";
import { For } from "solid-js";
import { Dynamic } from "solid-js/web";

export function Icon(props: { node: IconNode; size?: number }) {
  return (
    <svg
      class={`icon icon-${props.size ?? 16}`}
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      stroke-width="1.75"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
    >
      <For each={props.node}>
        {([tag, attributes]) => <Dynamic component={tag} {...attributes} />}
      </For>
    </svg>
  );
}
