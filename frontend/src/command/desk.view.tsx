/** The desk: bars on top, map, time line, panel. Below 1200 px the panel is a drawer, below 720 a sheet. */
import { ChevronDown, ChevronUp } from "lucide";
import { createSignal, onCleanup, onMount, Show } from "solid-js";
import { api } from "../api/client";
import { drillTarget, rootCode } from "../state/levels";
import { CellPanel } from "./cell-why.view";
import { Icon } from "./icon";
import { attachKeys } from "./keyboard";
import { Badges, KindMenu, KindTabs, PeriodName, PeriodSwitch } from "./kinds.view";
import type { MapHandle } from "./map.view";
import { MapPane } from "./map-pane.view";
import { useModel } from "./model";
import { returnFocus } from "./return-focus";
import { ScopePanel } from "./scope.view";
import { StaleStrip } from "./stale.view";
import { Failed } from "./states.view";
import { TablePanel } from "./table.view";
import { Timeline } from "./timeline.view";
import { TopBar } from "./topbar.view";
import { WhyPanel } from "./why.view";

export function DeskView(props: { lost: boolean }) {
  const model = useModel();
  const { view, words } = model;
  const [handle, setHandle] = createSignal<MapHandle>();
  const [open, setOpen] = createSignal(false);

  const enter = (code: string) =>
    view.go({ scope: code, level: "", camera: null, unit: view.state.unit });
  const select = (code: string) => {
    view.go({ unit: code });
    if (code !== "") setOpen(true);
  };
  const up = () => {
    const scope = model.scope();
    if (!scope) return;
    const parent = scope.ancestors.at(-1)?.code ?? "";
    view.go({ scope: parent === rootCode(model.map()) ? "" : parent, level: "", camera: null });
  };
  /** Drill one step towards a unit; its chain of parents decides where. */
  const drill = async (code = view.state.unit) => {
    if (code === "") return;
    const unit = await api
      .unit(model.map().pack, model.map().boundary_version, code)
      .catch(() => null);
    const target = unit && drillTarget(model.map(), model.scopeIndex(), unit, unit.ancestors);
    if (target) view.go({ unit: code, scope: target.code, level: "", camera: null });
  };
  /** A found unit is selected and seen among its like: the scope becomes its parent. */
  const found = async (code: string) => {
    setOpen(true);
    const unit = await api
      .unit(model.map().pack, model.map().boundary_version, code)
      .catch(() => null);
    if (!unit) return;
    const parent = unit.ancestors.at(-1)?.code ?? "";
    const scope = parent === rootCode(model.map()) ? "" : parent;
    view.go({ unit: code, scope, level: unit.level, camera: null });
  };

  const canvas = () => handle()?.canvas();
  returnFocus(() => view.state.unit !== "" || view.state.cell !== "", canvas);
  returnFocus(() => view.state.table, canvas);

  onMount(() => {
    const detach = attachKeys({ model, handle, select, drill, up });
    onCleanup(detach);
  });

  return (
    <div class="desk command" classList={{ "panel-open": open() }}>
      <button type="button" class="skip" onClick={() => handle()?.canvas().focus()}>
        {words().skip}
      </button>
      <TopBar onGo={(code) => view.go({ scope: code, level: "", camera: null })} onFound={found} />
      <div class="controls">
        <KindTabs />
        <KindMenu />
        <div class="controls-end">
          <PeriodSwitch />
          <PeriodName />
          <Badges />
        </div>
      </div>
      <main class="stage" id="map">
        <StaleStrip lost={props.lost} />
        <MapPane
          onReady={setHandle}
          onSelect={select}
          onDrill={drill}
          onCell={(cell) => {
            view.go({ cell });
            setOpen(true);
          }}
        />
        <Show when={view.state.table}>
          <TablePanel onPick={select} />
        </Show>
        <Timeline />
      </main>
      <aside class="panel">
        <button
          type="button"
          class="sheet-handle"
          aria-expanded={open()}
          aria-label={open() ? words().collapse : words().expand}
          onClick={() => setOpen(!open())}
        >
          <Icon node={open() ? ChevronDown : ChevronUp} size={20} />
        </button>
        <Show
          when={!model.scopeAnswer.failure() || view.state.scope === ""}
          fallback={
            <div class="panel-body">
              <Failed answer={model.scopeAnswer} what={words().failedScope} />
              <button type="button" class="button" onClick={() => view.go({ scope: "", unit: "" })}>
                {words().wholeMap}
              </button>
            </div>
          }
        >
          <Show
            when={view.state.cell !== "" && model.cells.shown().length > 0}
            fallback={
              <Show when={view.state.unit !== ""} fallback={<ScopePanel onPick={select} />}>
                <WhyPanel onPick={select} onEnter={enter} onClose={() => view.go({ unit: "" })} />
              </Show>
            }
          >
            <CellPanel
              onPick={(code) => view.go({ unit: code, cells: false, cell: "" })}
              onClose={() => view.go({ cell: "" })}
            />
          </Show>
        </Show>
      </aside>
      <Announcer />
    </div>
  );
}

/** Says the selected unit aloud: name, colour, relative risk, interval, rank. */
function Announcer() {
  const model = useModel();
  const text = () => {
    const why = model.why.data();
    if (!why || model.view.state.unit === "" || !model.why.fresh()) return "";
    const words = model.words();
    const name = model.nameOf(why.unit);
    if (!why.estimate) return words.announceNone(name);
    const { theta, low, high } = why.estimate;
    const row = model.ranking.data()?.rows.find((one) => one.unit.code === why.unit.code);
    return (
      words.announce(
        name,
        words.colours[why.colour],
        theta.toFixed(2),
        low.toFixed(2),
        high.toFixed(2),
      ) + (row ? words.announceRank(String(row.rank), String(row.low), String(row.high)) : "")
    );
  };
  return (
    <p class="hidden" role="status" aria-live="polite" data-testid="announcer">
      {text()}
    </p>
  );
}
