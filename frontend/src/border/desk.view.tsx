/** The border page: list, map, panel on a desk; map, sheet and tabs on a phone. */
import { LocateFixed, Map as MapIcon, RadioTower, ShieldCheck } from "lucide";
import { createEffect, For, Match, on, onCleanup, onMount, Show, Switch } from "solid-js";
import { Bar } from "../command/bar.view";
import { Icon } from "../command/icon";
import { returnFocus } from "../command/return-focus";
import { SearchBox } from "../command/search.view";
import { AlarmList, AlarmsView } from "./alarms.view";
import { CheckView } from "./check.view";
import { NewCheckView } from "./check-new.view";
import { ChecksView, RunningChecks } from "./checks.view";
import { ClusterView } from "./cluster.view";
import { ClusterList } from "./clusters.view";
import { HereView } from "./here.view";
import { Legend } from "./legend.view";
import { BorderMap } from "./map.view";
import { MapTab, ThemeSwitch } from "./map-tab.view";
import { useBorder } from "./model";
import { ResultsView } from "./results.view";
import { StartCheck } from "./start.view";
import { TABS, type Tab } from "./state";
import { Strips } from "./strips.view";
import { ZoneView } from "./zone.view";
import { ZoneForm } from "./zone-form.view";
import { ZoneListView } from "./zones.view";

const ICONS = { here: LocateFixed, checks: ShieldCheck, alarms: RadioTower, map: MapIcon } as const;

export function BorderDesk() {
  const border = useBorder();
  const { say, frame, view, narrow } = border;
  const what = () => border.opened().what;
  const full = () => narrow() && what() !== "" && !border.draft.drawing();
  onMount(() => {
    const leave = (event: KeyboardEvent) => {
      if (event.key !== "Escape" || event.defaultPrevented) return;
      if (border.draft.drawing()) border.draft.setDrawing(false);
      else if (border.notice()) border.dismiss();
      else if (what() !== "") border.close();
      else if (view.state.at) view.go({ at: "" });
    };
    addEventListener("keydown", leave);
    onCleanup(() => removeEventListener("keydown", leave));
  });
  returnFocus(
    () => what() !== "",
    () =>
      document.querySelector<HTMLElement>(
        ".tabbar button[aria-current], .border .maplibregl-canvas",
      ),
  );
  // what is opened begins at its top
  let panel!: HTMLElement;
  createEffect(
    on([() => view.state.open, () => view.state.tab], () => {
      panel?.querySelector(".panel-scroll")?.scrollTo(0, 0);
    }),
  );
  const badges = () => (
    <span class="badges map-badges">
      <Show when={frame.map().approximate}>
        <span class="badge" title={frame.words().approximateTitle}>
          {frame.words().approximate}
        </span>
      </Show>
      <Show when={frame.map().simulated}>
        <span class="badge" title={frame.words().simulatedTitle}>
          {frame.words().simulated}
        </span>
      </Show>
    </span>
  );
  return (
    <div class="border" classList={{ narrow: narrow(), full: full(), "panel-open": what() !== "" }}>
      <Show when={!narrow()}>
        <Bar
          current="border"
          end={<SearchBox onFound={(code) => view.go({ at: code, open: "" })} />}
        >
          <span class="crumbs">
            <b class="crumb">{frame.title(frame.map().title)}</b>
          </span>
        </Bar>
      </Show>
      <Strips />
      <Show when={!narrow()}>
        <aside class="border-list" aria-label={say().listLabel}>
          <div class="panel-scroll">
            <ClusterList />
            <RunningChecks />
            <AlarmList />
            <ZoneListView />
            <div class="display-row">
              <ThemeSwitch />
            </div>
          </div>
          <StartCheck />
        </aside>
      </Show>
      <main class="stage" id="map">
        <BorderMap />
        <Show when={!narrow()}>
          <Legend />
        </Show>
        {badges()}
      </main>
      <section ref={panel} class="border-panel" aria-label={say().page}>
        <Switch
          fallback={
            <Show when={narrow()} fallback={<HereView />}>
              <TabView tab={view.state.tab} />
            </Show>
          }
        >
          <Match when={opened(border.opened(), "cluster")}>
            {(one) => <ClusterView number={one().id} />}
          </Match>
          <Match when={opened(border.opened(), "zone")}>
            {(one) => <ZoneView id={one().id} />}
          </Match>
          <Match when={opened(border.opened(), "check")}>
            {(one) => <CheckView id={one().id} />}
          </Match>
          <Match when={opened(border.opened(), "check-new")}>
            {(one) => <NewCheckView zone={one().id} />}
          </Match>
          <Match when={opened(border.opened(), "zone-change")}>
            {(one) => <ZoneForm zone={one().id} />}
          </Match>
          <Match when={what() === "results"}>
            <ResultsView />
          </Match>
          <Match when={what() === "zone-new"}>
            <ZoneForm />
          </Match>
        </Switch>
      </section>
      <Show when={narrow() && !full()}>
        <nav class="tabbar" aria-label={say().tabsLabel}>
          <For each={TABS}>
            {(tab) => (
              <button
                type="button"
                data-tab={tab}
                aria-current={view.state.tab === tab && what() === "" ? "page" : undefined}
                onClick={() => view.go({ tab, open: "" })}
              >
                <Icon node={ICONS[tab]} size={20} />
                {say().tabs[tab]}
                <Show when={tab === "checks" && border.running().length > 0}>
                  <b class="count">{border.running().length}</b>
                </Show>
              </button>
            )}
          </For>
        </nav>
      </Show>
    </div>
  );
}

type Numbered = { what: string; id: number };

function opened(open: { what: string }, what: string): Numbered | undefined {
  return open.what === what ? (open as Numbered) : undefined;
}

function TabView(props: { tab: Tab }) {
  return (
    <Switch fallback={<HereView />}>
      <Match when={props.tab === "checks"}>
        <ChecksView />
      </Match>
      <Match when={props.tab === "alarms"}>
        <AlarmsView />
      </Match>
      <Match when={props.tab === "map"}>
        <MapTab />
      </Match>
    </Switch>
  );
}
