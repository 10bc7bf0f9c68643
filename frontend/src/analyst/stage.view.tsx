/** The map one works on: areas over the colours, the tools, and what is said at a spot. */

import { Hexagon } from "lucide";
import { createEffect, createMemo, createSignal, For, on, onCleanup, Show } from "solid-js";
import { refusalOf } from "../api/analysis";
import { Failure } from "../api/client";
import { useFrame } from "../command/frame";
import { Icon } from "../command/icon";
import { type Hit, type MapHandle, MapView } from "../command/map.view";
import { ScaleBar } from "../command/scale.view";
import { Drawer } from "../draw/drawer";
import {
  boxOf,
  type Fault,
  faultOf,
  outlineOf,
  type Position,
  type Ring,
  type Shape,
  squareKilometres,
} from "../draw/shapes";
import { scopeIndex } from "../state/levels";
import { createBig } from "../state/narrow";
import { clampOrd } from "../state/periods";
import { moment } from "../state/times";
import { type Hand, letter, plain, useAsk } from "./ask";
import { createOther, OtherMap } from "./compare.view";
import { layFound } from "./found";
import { Key } from "./key.view";
import { Overlay } from "./overlay";
import { snapTo } from "./snap";
import { Spot } from "./spot.view";
import { MonthStrip } from "./strip.view";
import { Tools } from "./tools.view";

export function Stage(props: { onReady: (handle: MapHandle) => void }) {
  const ask = useAsk();
  const big = createBig();
  // of the screen the page was opened on: letters laid out anew while tiles come have failed in the library
  const scale = big();
  const { map, theme, view: _view, words, title } = useFrame();
  const { state } = ask.view;
  const [handle, setHandle] = createSignal<MapHandle>();
  const [overlay, setOverlay] = createSignal<Overlay>();
  const [drawer, setDrawer] = createSignal<Drawer>();
  const [snappedAt, setSnappedAt] = createSignal<Position | null>(null);

  /** The map shows the month chosen in the strip, else the newest of the span. */
  const ord = createMemo(() => {
    const months = map().periods.month;
    if (state.ord !== null) return clampOrd(months, state.ord);
    const inside = months.findLastIndex((one) => one.start < ask.span().to);
    return clampOrd(months, inside < 0 ? null : inside);
  });
  const other = createOther(ask);
  const asked = createMemo(() => ({
    run: map().run,
    level: ask.level().id,
    kind: ask.focus(),
    period: "month" as const,
    ord: ord(),
  }));
  /** Framed once on the areas of the link, else on the whole map. */
  const first = state.areas.flatMap((one) => outlineOf(one.shape));
  const firstBox = boxOf(first);
  const frame = createMemo(() => (firstBox ? widened(firstBox) : map().bounds));

  const ready = (one: MapHandle) => {
    const layer = new Overlay(one.map);
    layer.dress(theme());
    const own = new Drawer(one.map, {
      onMoving: (shape, guides) => {
        ask.setMoving(shape && ask.corners() !== 1 ? { shape, guides } : null);
        layer.guides(guides);
        if (guides.every((each) => each.role !== "snapped")) return;
      },
      onDrawn: (shape) => {
        ask.setMoving(null);
        ask.put([...plain(state.areas), { name: "", shape }], state.areas.length);
        ask.setHand("move");
      },
      onEdited: (shape) => {
        ask.setMoving(null);
        const areas = plain(state.areas);
        const area = areas[state.active];
        if (area) areas[state.active] = { ...area, shape };
        ask.put(areas, state.active);
      },
      onDrawing: ask.setCorners,
      snap: (at) => {
        const found = ask.snapping() ? snapTo(one.map, at, ask.level().id) : null;
        setSnappedAt(found);
        return found;
      },
      corridor: ask.width,
    });
    // not inside the map's own frame: another level is another style
    const zoomed = () => setTimeout(() => ask.setZoom(one.map.getZoom()));
    ask.setZoom(one.map.getZoom());
    one.map.on("zoomend", zoomed);
    setOverlay(layer);
    setDrawer(own);
    setHandle(one);
    ask.lend(own);
    props.onReady(one);
  };
  onCleanup(() => {
    ask.lend(null);
    drawer()?.stop();
  });
  createEffect(on(theme, (now) => overlay()?.dress(now), { defer: true }));

  // ---- the hand follows the tool, else it holds the active shape
  const activeShape = createMemo(() => ask.active()?.shape, undefined, {
    equals: (a, b) => JSON.stringify(a) === JSON.stringify(b),
  });
  createEffect(() => {
    const own = drawer();
    const hand = ask.hand();
    const shape = activeShape();
    if (!own) return;
    if (hand === "units" || (hand === "move" && !shape)) own.rest();
    else if (hand === "move") own.edit(plain(shape) as Shape);
    else own.take(hand);
    if (hand !== "move") setSnappedAt(null);
  });

  // ---- what lies over the map
  const drawn = createMemo(() => {
    const moving = ask.moving()?.shape;
    const list = state.areas.map((area, index) => ({
      index,
      active: index === state.active && ask.hand() === "move",
      shape: area.shape,
      parts: ask.outlines(index),
    }));
    const editing = ask.hand() === "move";
    if (moving && editing && list[state.active]) {
      const one = list[state.active] as (typeof list)[number];
      list[state.active] = { ...one, shape: moving, parts: outlineOf(moving) };
    } else if (moving) {
      list.push({ index: list.length, active: true, shape: moving, parts: outlineOf(moving) });
    }
    return list;
  });
  createEffect(() => {
    const layer = overlay();
    if (!layer) return;
    const list = drawn();
    layer.areas(list);
    const lit = list.filter(({ parts }) => parts.length > 0);
    layer.veil(lit.flatMap(({ parts }) => parts));
    const line = list.find((one) => one.active)?.shape;
    layer.middle(line?.kind === "corridor" ? line.line : []);
  });

  layFound(ask, overlay);
  // the maps are only half as wide now
  createEffect(
    on(
      () => other() === null,
      () => requestAnimationFrame(ask.look),
      { defer: true },
    ),
  );

  const pick = (hit: Hit) => {
    if (ask.hand() !== "units") return;
    const areas = plain(state.areas);
    const at = areas[state.active];
    if (at?.shape.kind === "units") {
      const codes = at.shape.codes.includes(hit.code)
        ? at.shape.codes.filter((one) => one !== hit.code)
        : [...at.shape.codes, hit.code];
      if (codes.length === 0) ask.remove(state.active);
      else {
        areas[state.active] = { ...at, shape: { kind: "units", codes } };
        ask.put(areas, state.active);
      }
    } else {
      ask.put([...areas, { name: "", shape: { kind: "units", codes: [hit.code] } }], areas.length);
    }
  };

  // ---- words at a spot
  const fault = createMemo(() => {
    const shape = ask.moving()?.shape ?? activeShape();
    const own = shape && ask.hand() !== "freehand" ? drawnFault(shape, ask.corners() > 0) : null;
    if (own) return { at: own.at, text: ask.say().shapeFault[own.reason] ?? "" };
    if (ask.moving() || !shape) return null;
    const info = ask.shapes.fresh() ? ask.shapes.data()?.[state.active] : undefined;
    const refused = info instanceof Failure ? refusalOf(info) : null;
    const at = refused?.at ?? spotOf(outlineOf(shape));
    if (!refused || !at) return null;
    return {
      at,
      text: ask.say().shapeFault[refused.reason] ?? ask.say().faultOther(refused.message),
    };
  });
  const label = (index: number, parts: Ring[][]) => {
    const info = ask.moving() ? undefined : ask.shapes.data()?.[index];
    const km2 = info && !(info instanceof Failure) ? info.km2 : squareKilometres(parts);
    const name = state.areas[index]?.name;
    return `${letter(index)}${name ? ` · ${name}` : ""} ${ask.say().km2(km2Text(km2))}`;
  };
  const runText = () => {
    const parts = [words().run(map().run), words().boundary(map().boundary_version)];
    const cutoff = map().data_cutoff;
    if (cutoff) parts.push(words().asOf(moment(cutoff, map().time_zone, new Date())));
    return parts.join(" · ");
  };

  return (
    <>
      <div class="maps" classList={{ two: other() !== null }}>
        <div class="map-pane stage-map" classList={{ drawing: ask.hand() !== "move" }}>
          <MapView
            info={map()}
            theme={theme()}
            level={ask.level()}
            scope=""
            scopeIndex={scopeIndex(map(), undefined)}
            pattern={state.pattern}
            scale={scale}
            labels
            lang={state.lang}
            interactive
            question={asked()}
            {...(state.cells ? { cells: map().cells } : {})}
            selected={null}
            frame={frame()}
            camera={state.camera}
            padding={padding(big())}
            label={words().mapLabel(title(map().title), title(ask.level().title))}
            onPick={pick}
            onCamera={(camera) => ask.view.go({ camera }, "replace")}
            onReady={ready}
          />
          <Tools drawer={drawer()} map={handle()} />
          <For each={drawn()}>
            {(one) => (
              <Show when={top(one.parts)}>
                {(at) => (
                  <Spot map={handle()?.map} at={at()} class="area-label" above>
                    <button
                      type="button"
                      class="area-name"
                      aria-pressed={one.active}
                      onClick={() => {
                        ask.setHand("move");
                        if (one.index < state.areas.length) ask.view.go({ active: one.index });
                      }}
                    >
                      {label(one.index, one.parts)}
                    </button>
                  </Spot>
                )}
              </Show>
            )}
          </For>
          <Show when={fault()}>
            {(one) => (
              <Spot map={handle()?.map} at={one().at} class="spot spot-fault" above>
                <span role="alert">{one().text}</span>
              </Spot>
            )}
          </Show>
          <Show when={ask.snapping() && !fault() && ask.moving() && snappedAt()}>
            {(at) => (
              <Spot map={handle()?.map} at={at()} class="spot spot-snapped">
                {`${ask.say().snapped}${words().colon}${title(ask.level().title)}`}
              </Spot>
            )}
          </Show>
          <Levels />
          <Key map={handle()?.map} ord={ord()} />
          <ScaleBar handle={handle()} />
          <p class="map-run">{runText()}</p>
        </div>
        <Show when={other()}>{(one) => <OtherMap other={one()} main={handle()?.map} />}</Show>
      </div>
      <MonthStrip map={handle()?.map} ord={ord()} />
    </>
  );
}

/** Which units are coloured; by itself the finest that can be read. */
function Levels() {
  const ask = useAsk();
  const { map, words, title } = useFrame();
  const { state } = ask.view;
  return (
    <fieldset class="levels segments floating" aria-label={words().levelChoice}>
      <For each={ask.levels()}>
        {(level) => (
          <button
            type="button"
            class="segment"
            data-level={level.id}
            aria-pressed={level.id === ask.level().id && !state.cells}
            onClick={() =>
              ask.view.go({ level: state.level === level.id ? "" : level.id, cells: false })
            }
          >
            {title(level.title)}
          </button>
        )}
      </For>
      <Show when={map().cells.length > 0}>
        <button
          type="button"
          class="segment"
          data-level="cells"
          title={words().cellsTitle}
          aria-pressed={state.cells}
          onClick={() => ask.view.go({ cells: !state.cells })}
        >
          <Icon node={Hexagon} size={14} />
          {words().cells}
        </button>
      </Show>
    </fieldset>
  );
}

export const HANDS: readonly Hand[] = [
  "move",
  "polygon",
  "rectangle",
  "circle",
  "corridor",
  "freehand",
  "units",
];

function padding(big: number) {
  return innerWidth < 720
    ? { top: 30, right: 24, bottom: 70, left: 24 }
    : { top: 70 * big, right: 70 * big, bottom: 60 * big, left: 90 * big };
}

function widened([west, south, east, north]: readonly number[]): [number, number, number, number] {
  const [w, s, e, n] = [west, south, east, north] as [number, number, number, number];
  const [dx, dy] = [Math.max(e - w, 0.004) * 0.45, Math.max(n - s, 0.004) * 0.45];
  return [w - dx, s - dy, e + dx, n + dy];
}

/** Northernmost corner: the name stands above it. */
function top(parts: readonly Ring[][]): Position | null {
  let best: Position | null = null;
  for (const place of parts.flat(2)) if (!best || place[1] > best[1]) best = place;
  const box = boxOf(parts);
  return best && box ? [(box[0] + box[2]) / 2, best[1]] : null;
}

/** What is wrong with the outline itself; a drawing of two corners is only not there yet. */
function drawnFault(shape: Shape, drawing: boolean): Fault | null {
  if (shape.kind !== "polygon") return null;
  for (const ring of shape.parts.flat()) {
    const found = drawing && ring.length < 5 ? null : faultOf(ring);
    if (found) return found;
  }
  return null;
}

function spotOf(parts: readonly Ring[][]): Position | null {
  return parts[0]?.[0]?.[0] ?? null;
}

export function km2Text(km2: number): string {
  if (km2 >= 100) return km2.toFixed(0);
  return km2 >= 1 ? km2.toFixed(2) : km2.toPrecision(2);
}
