/** Legend of the border map: the classes, who sees a cluster, zones, lines. No data is always listed. */
import { For, Show } from "solid-js";
import { CLASSES } from "../api/models";
import { SeenMark } from "./cluster-mark.view";
import { SEEN } from "./clusters";
import { useBorder } from "./model";

export function Legend() {
  const border = useBorder();
  const { say, frame, clusters, run } = border;
  return (
    <section class="border-legend floating" aria-label={say().legend}>
      <Show when={run()}>
        <ul class="legend-classes">
          <For each={CLASSES}>
            {(one) => (
              <li>
                <i class={`fill-bg-${one}`} />
                {frame.words().colours[one]}
              </li>
            )}
          </For>
        </ul>
        <For each={SEEN}>
          {(seen) => (
            <p>
              <SeenMark seen={seen} />
              {say().seen[seen]}
              <b class="end">{clusters().filter((one) => one.seen === seen).length}</b>
            </p>
          )}
        </For>
      </Show>
      <p>
        <i class="zone-swatch" />
        {say().zone}
      </p>
      <p>
        <i class="line-swatch" />
        {say().sharedLine}
      </p>
    </section>
  );
}
