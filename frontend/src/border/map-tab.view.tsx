/** The phone's tab beside the map: clusters, zones, legend, language and look, the other pages. */
import { For } from "solid-js";
import { LanguageSwitch, Pages } from "../command/pages.view";
import { WhoAmI } from "../command/whoami.view";
import { ClusterList } from "./clusters.view";
import { Legend } from "./legend.view";
import { useBorder } from "./model";
import { ZoneListView } from "./zones.view";

export function MapTab() {
  const border = useBorder();
  const { say } = border;
  return (
    <div class="panel-body">
      <div class="panel-scroll">
        <ClusterList />
        <ZoneListView />
        <Legend />
        <h3 class="list-head">{say().display}</h3>
        <div class="display-row">
          <LanguageSwitch />
          <ThemeSwitch />
          <WhoAmI />
        </div>
        <h3 class="list-head">{say().pages}</h3>
        <Pages current="border" />
      </div>
    </div>
  );
}

export function ThemeSwitch() {
  const { frame, view } = useBorder();
  return (
    <fieldset class="segments" aria-label={frame.words().theme}>
      <For each={["light", "night"] as const}>
        {(one) => (
          <button
            type="button"
            class="segment"
            aria-pressed={view.state.theme === one}
            onClick={() => view.go({ theme: one }, "replace")}
          >
            {frame.words()[one]}
          </button>
        )}
      </For>
    </fieldset>
  );
}
