/** The desk's map with what floats over it: level switch, buttons, legend, scale, tip, run. */
import { Hexagon, Layers, LocateFixed, Minus, Plus, Table2 } from "lucide";
import { createMemo, createSignal, For, onCleanup, Show } from "solid-js";
import type { Failure } from "../api/client";
import { levelsBelow } from "../state/levels";
import { createBig, createNarrow } from "../state/narrow";
import { moment } from "../state/times";
import { emptiest } from "./callouts";
import { GROUND } from "./cells.layer";
import { DisplaySettings } from "./display.view";
import { Icon } from "./icon";
import { Legend } from "./legend.view";
import { type Hit, type MapHandle, MapView } from "./map.view";
import { useModel } from "./model";
import { returnFocus } from "./return-focus";
import { ScaleBar } from "./scale.view";
import { CellTip, Tip } from "./tip.view";

/** What lies under the legend of a phone (scale, run), and the gap above it, px. */
const FOOT = 34 + 10;

export function MapPane(props: {
  onReady: (handle: MapHandle) => void;
  onSelect: (code: string) => void;
  onDrill: (code: string) => void;
  onCell: (cell: string) => void;
}) {
  const model = useModel();
  const { view, words } = model;
  const [handle, setHandle] = createSignal<MapHandle>();
  const [zoom, setZoom] = createSignal(0);
  const [hit, setHit] = createSignal<Hit | null>(null);
  const [settings, setSettings] = createSignal(false);
  const [failure, setFailure] = createSignal<Failure>();
  returnFocus(settings);
  const leave = (event: KeyboardEvent) => {
    if (event.key !== "Escape" || !settings()) return;
    event.stopPropagation();
    setSettings(false);
  };
  addEventListener("keydown", leave, true);
  onCleanup(() => removeEventListener("keydown", leave, true));
  const narrow = createNarrow();
  const big = createBig();

  const frame = createMemo(() => model.scope()?.bounds ?? model.map().bounds);
  const selected = createMemo(() => {
    const unit = view.state.unit !== "" ? model.selected.data() : undefined;
    return unit && unit.code === view.state.unit ? { id: unit.id, level: unit.level } : null;
  });
  const selectedCell = createMemo(() => {
    const cell = view.state.cell !== "" ? model.cells.why.data() : undefined;
    return cell && cell.cell === view.state.cell ? { id: cell.why.unit.id, res: cell.res } : null;
  });
  const value = createMemo(() => {
    const { within: _within, ...rest } = model.question();
    return rest;
  });
  // another scope is another map: the keys that went to the one before go to it
  let onMap = false;
  const focused = (event: FocusEvent) => {
    onMap = event.target instanceof Element && event.target.closest(".map-box") !== null;
  };
  addEventListener("focusin", focused);
  onCleanup(() => removeEventListener("focusin", focused));
  const ready = (one: MapHandle) => {
    setHandle(one);
    if (onMap && document.activeElement === document.body) one.canvas().focus();
    props.onReady(one);
    setZoom(one.map.getZoom());
    const moved = () => setZoom(one.map.getZoom());
    one.map.on("zoom", moved);
    onCleanup(() => one.map.off("zoom", moved));
  };
  /** On a phone the legend lies across the map's foot, as high as its rows: nothing of the map goes under it. */
  const [foot, setFoot] = createSignal(0);
  let legend: HTMLElement | undefined;
  const measured = (box: HTMLElement) => {
    legend = box;
    const watch = new ResizeObserver(() => setFoot(box.offsetHeight));
    watch.observe(box);
    onCleanup(() => watch.disconnect());
  };
  const padding = () =>
    narrow()
      ? { top: 64, right: 16, bottom: (foot() || legend?.offsetHeight || 0) + FOOT, left: 16 }
      : { top: 58 * big(), right: 70 * big(), bottom: 44 * big(), left: 40 * big() };
  const levels = () => levelsBelow(model.map(), model.scopeIndex());
  /** The legend stands in the emptier lower corner; decided once per framing, never while one looks. */
  const [legendRight, setLegendRight] = createSignal(false);
  let pane!: HTMLDivElement;
  let framedFor: unknown = null;
  const settle = () => {
    const one = handle();
    if (!one || framedFor === frame() || narrow()) return;
    framedFor = frame();
    const { clientWidth: w, clientHeight: h } = one.map.getContainer();
    const card = pane.querySelector<HTMLElement>(".legend");
    const seen = card?.getBoundingClientRect();
    const size = { width: (seen?.width ?? 230) + 8, height: (seen?.height ?? 230) + 4 };
    const left = { x: 12, y: h - size.height - 12, ...size };
    const right = { x: w - size.width - 12, y: h - size.height - 36, ...size };
    const ground = one.map.getLayer("fill") ? "fill" : GROUND;
    const covered = (x: number, y: number) =>
      one.map.queryRenderedFeatures([x, y], { layers: [ground] }).length > 0;
    const best = emptiest([left, right], covered);
    setLegendRight(best?.rect === right);
  };
  const runText = () => {
    const map = model.map();
    const parts = [words().run(map.run), words().boundary(map.boundary_version)];
    if (map.data_cutoff) {
      parts.push(words().asOf(moment(map.data_cutoff, map.time_zone, new Date())));
    }
    return parts.join(" · ");
  };
  const pickAt = (one: Hit, again: boolean) => {
    if (one.level.startsWith("cell")) {
      props.onCell(one.code);
      return;
    }
    if (again || one.code === view.state.unit) props.onDrill(one.code);
    else props.onSelect(one.code);
  };

  return (
    <div ref={pane} class="map-pane" classList={{ "legend-right": legendRight() }}>
      <Show when={view.state.scope === "" || model.scope()}>
        <MapView
          info={model.map()}
          theme={model.theme()}
          level={model.level()}
          scope={model.scope()?.code ?? ""}
          scopeIndex={model.scopeIndex()}
          pattern={view.state.pattern}
          scale={big()}
          labels
          lang={view.state.lang}
          interactive
          question={value()}
          cells={model.cells.shown()}
          alerts={model.cells.shown().length > 0 ? [] : model.alerts.marks()}
          selectedCell={selectedCell()}
          onResolution={model.cells.setResolution}
          selected={model.cells.shown().length > 0 ? null : selected()}
          frame={frame()}
          camera={view.state.camera}
          padding={padding()}
          label={words().mapLabel(model.scopeName(), model.title(model.level().title))}
          onHover={setHit}
          onPick={pickAt}
          onCamera={(camera) => view.go({ camera }, "replace")}
          onReady={ready}
          onFailure={setFailure}
          onIdle={settle}
        />
      </Show>
      <Show when={levels().length > 1 || model.map().cells.length > 0}>
        <fieldset class="levels segments floating" aria-label={words().levelChoice}>
          <For each={levels()}>
            {(level) => (
              <button
                type="button"
                class="segment"
                data-level={level.id}
                aria-pressed={level.id === model.level().id && !view.state.cells}
                onClick={() => view.go({ level: level.id, cells: false, cell: "" })}
              >
                {model.title(level.title)}
              </button>
            )}
          </For>
          <Show when={model.map().cells.length > 0}>
            <button
              type="button"
              class="segment segment-cells"
              data-level="cells"
              title={words().cellsTitle}
              aria-pressed={view.state.cells}
              onClick={() => view.go({ cells: !view.state.cells, cell: "" })}
            >
              <Icon node={Hexagon} size={14} />
              {words().cells}
            </button>
          </Show>
        </fieldset>
      </Show>
      <div class="map-buttons floating">
        <MapButton icon={Plus} title={words().zoomIn} onClick={() => handle()?.map.zoomIn()} />
        <MapButton icon={Minus} title={words().zoomOut} onClick={() => handle()?.map.zoomOut()} />
        <MapButton
          icon={LocateFixed}
          title={words().fit}
          onClick={() => {
            view.go({ camera: null }, "replace");
            handle()?.fit();
          }}
        />
        <MapButton
          icon={Layers}
          title={words().display}
          pressed={settings()}
          onClick={() => setSettings(!settings())}
        />
        <MapButton
          icon={Table2}
          title={words().table}
          pressed={view.state.table}
          onClick={() => view.go({ table: !view.state.table })}
        />
      </div>
      <Show when={settings()}>
        <DisplaySettings onClose={() => setSettings(false)} />
      </Show>
      <Show when={!view.state.cells && zoom() > 0 && zoom() < model.level().min_zoom}>
        <p class="map-note floating">{words().zoomForLevel(model.title(model.level().title))}</p>
      </Show>
      <Show when={failure()}>
        {(failed) => (
          <p class="map-note floating" role="alert">
            <b>{words().failed(words().failedMap)}</b>{" "}
            {failed().requestId
              ? words().requestId(failed().requestId as string)
              : words().failedServer}
          </p>
        )}
      </Show>
      <Legend ref={measured} />
      <ScaleBar handle={handle()} />
      <p class="map-run">{runText()}</p>
      <Show when={hit()}>
        {(one) => (
          <Show when={one().level.startsWith("cell")} fallback={<Tip hit={one()} />}>
            <CellTip hit={one()} />
          </Show>
        )}
      </Show>
    </div>
  );
}

function MapButton(props: {
  icon: Parameters<typeof Icon>[0]["node"];
  title: string;
  pressed?: boolean;
  onClick: () => void;
}) {
  return (
    <button
      type="button"
      class="icon-button"
      title={props.title}
      aria-label={props.title}
      aria-pressed={props.pressed}
      onClick={() => props.onClick()}
    >
      <Icon node={props.icon} />
    </button>
  );
}
