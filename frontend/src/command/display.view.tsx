/** Display settings: theme, colour-vision set, patterns. They are part of the link. */
import { X } from "lucide";
import { For, Show } from "solid-js";
import { levelsBelow } from "../state/levels";
import { Icon } from "./icon";
import { LookChoices } from "./look.view";
import { useModel } from "./model";

export function DisplaySettings(props: { onClose: () => void }) {
  const model = useModel();
  const { view, words } = model;
  return (
    <section class="display floating" aria-label={words().display}>
      <h2>
        {words().display}
        <button
          type="button"
          class="icon-button end"
          title={words().close}
          aria-label={words().close}
          onClick={props.onClose}
        >
          <Icon node={X} />
        </button>
      </h2>
      <Show when={model.manifest().maps.length > 1}>
        <select
          aria-label={words().failedManifest}
          value={model.map().pack}
          onChange={(event) =>
            view.go({
              map: event.currentTarget.value,
              scope: "",
              unit: "",
              level: "",
              camera: null,
              ord: null,
            })
          }
        >
          <For each={model.manifest().maps}>
            {(map) => <option value={map.pack}>{model.title(map.title)}</option>}
          </For>
        </select>
      </Show>
      <Show when={innerWidth < 720}>
        <select
          aria-label={words().levelChoice}
          value={view.state.cells ? "cells" : model.level().id}
          onChange={(event) => {
            const level = event.currentTarget.value;
            view.go(
              level === "cells" ? { cells: true, cell: "" } : { level, cells: false, cell: "" },
            );
          }}
        >
          <For each={levelsBelow(model.map(), model.scopeIndex())}>
            {(level) => <option value={level.id}>{model.title(level.title)}</option>}
          </For>
          <Show when={model.map().cells.length > 0}>
            <option value="cells">{words().cells}</option>
          </Show>
        </select>
      </Show>
      <LookChoices />
    </section>
  );
}
