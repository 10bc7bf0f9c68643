/**
 * The map itself: one MapLibre instance whose style is `buildStyle` and whose colours are feature states.
 * Geometry is fetched once per level; a switch of kind or period moves one payload of values.
 */
import {
  type FilterSpecification,
  type MapGeoJSONFeature,
  MapLibreMap as MapLibre,
  type MapMouseEvent,
  prewarm,
  setWorkerUrl,
} from "maplibre-gl";
import workerAddress from "maplibre-gl/dist/maplibre-gl-worker.mjs?worker&url";
import { createEffect, createMemo, createSignal, on, onCleanup, onMount } from "solid-js";
import { createAnswer } from "../api/answer";
import { addresses, type Failure, type Question } from "../api/client";
import type { CellInfo, LevelInfo, MapInfo } from "../api/models";
import { fetchValues, keptValues, type Values } from "../api/values";
import { unwrapped } from "../state/bounds";
import type { Lang } from "../state/hash";
import { valueIndex } from "../state/levels";
import { draw, PIXEL_RATIO, patternOf } from "../style/patterns";
import type { Theme } from "../style/theme";
import { alertImage } from "./alerts.layer";
import { HOVER, SELECTED } from "./borders.layer";
import { CELLS, cellFillOf, cellSourceOf, GROUND, resolutionAt } from "./cells.layer";
import { CellPainter, cellKey } from "./cells.paint";
import { Framing, type Padding } from "./framing";
import { buildStyle, LABELS, type StyleInput, sourceOf, UNITS } from "./map-style";
import type { Place } from "./neighbours";
import { withOverlays } from "./overlays";

setWorkerUrl(workerAddress);
// The worker starts while the first answers are on their way, and outlives a change of scope.
prewarm();

/** A unit under the pointer, with what the map alone knows of it. */
export interface Hit {
  id: number;
  code: string;
  name: string;
  level: string;
  colour: number;
  theta: number;
  previous: number;
  x: number;
  y: number;
}

/** What other parts of the page may ask of the map. */
export interface MapHandle {
  map: MapLibre;
  /** Label points of the shown level that are loaded and inside the scope. */
  places: () => Place[];
  project: (place: readonly [number, number]) => { x: number; y: number };
  canvas: () => HTMLCanvasElement;
  /** Bring the frame back into sight. */
  fit: () => void;
}

export interface MapProps {
  info: MapInfo;
  theme: Theme;
  level: LevelInfo;
  scope: string;
  scopeIndex: number;
  pattern: boolean;
  scale: number;
  labels: boolean;
  lang: Lang;
  interactive: boolean;
  question: Omit<Question, "within">;
  /** Cells shown in place of the units; none: units. */
  cells?: readonly CellInfo[];
  /** Codes of units of the level with an open alert. */
  alerts?: readonly string[];
  /** Feature id and resolution of the cell outlined as selected. */
  selectedCell?: { id: number; res: number } | null;
  /** Resolution on the screen; null where there is none. */
  onResolution?: (res: number | null) => void;
  /** Unit outlined as selected. */
  selected: { id: number; level: string } | null;
  /** Frame to show, degrees; changes of identity move the camera. */
  frame: readonly [number, number, number, number];
  camera: readonly [number, number, number] | null;
  /** Room kept free at the edges; when it changes, a map that nobody has moved is framed anew. */
  padding: Padding;
  label: string;
  onHover?: (hit: Hit | null) => void;
  onPick?: (hit: Hit, again: boolean) => void;
  onCamera?: (camera: readonly [number, number, number]) => void;
  onReady?: (handle: MapHandle) => void;
  onFailure?: (failure: Failure | undefined) => void;
  onIdle?: () => void;
  /** Called with each address the map asks for. */
  onAsk?: (address: string) => void;
}

const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
const CAMERA_MS = 600;
/** Marks of change need the period before; finer levels have too many to carry marks. */
const MARKED_UNITS = 1000;

export function MapView(props: MapProps) {
  let box!: HTMLDivElement;
  let map: MapLibre | undefined;
  const [ready, setReady] = createSignal(false);
  const [before, setBefore] = createSignal<Values | null>(null);

  const input = createMemo<StyleInput>(() => ({
    map: props.info,
    theme: props.theme,
    level: props.level.id,
    scope: props.scope,
    scopeIndex: props.scopeIndex,
    pattern: props.pattern,
    scale: props.scale,
    labels: props.labels,
    lang: props.lang,
    ...(props.cells ? { cells: props.cells } : {}),
    ...(props.alerts ? { alerts: props.alerts } : {}),
  }));
  let framing: Framing | undefined;
  const hasCells = () => (props.cells?.length ?? 0) > 0;
  let painter: CellPainter | undefined;

  const values = createAnswer(
    () => (hasCells() ? null : { question: props.question, n: props.level.count }),
    async (asked, signal) => ({
      ...(await fetchValues(asked.question, asked.n, signal)),
      of: addresses.values(asked.question),
    }),
  );
  createEffect(() => props.onFailure?.(values.failure()));

  /** What was painted last per level, so that only changes are sent to the map. */
  const painted = new Map<string, { colour: Uint8Array; mark: Int8Array }>();

  const paint = (level: LevelInfo, now: Values, past: Values | null) => {
    const known = painted.get(level.id);
    const mark = new Int8Array(level.count);
    if (past) {
      for (let i = 0; i < level.count; i++) {
        const a = past.colour[i] as number;
        const b = now.colour[i] as number;
        mark[i] = a === 0 || b === 0 ? 0 : Math.sign(b - a);
      }
    }
    const source = sourceOf(level.id);
    for (let i = 0; i < level.count; i++) {
      const id = level.first_id + i;
      const c = now.colour[i] as number;
      if (known?.colour[i] !== c) map?.setFeatureState({ source, sourceLayer: UNITS, id }, { c });
      const d = mark[i] as number;
      if ((known?.mark[i] ?? 0) !== d)
        map?.setFeatureState({ source, sourceLayer: LABELS, id }, { d });
    }
    painted.set(level.id, { colour: now.colour, mark });
  };

  onMount(() => {
    const one = new MapLibre({
      container: box,
      style: buildStyle(input()),
      transformRequest: (url) => {
        props.onAsk?.(new URL(url, location.origin).href);
        return { url };
      },
      bounds: unwrapped(props.frame),
      fitBoundsOptions: { padding: props.padding },
      interactive: props.interactive,
      attributionControl: false,
      dragRotate: false,
      pitchWithRotate: false,
      touchPitch: false,
      keyboard: false,
      doubleClickZoom: false,
      maxZoom: 17,
      minZoom: 3,
      fadeDuration: 0,
      renderWorldCopies: false,
      refreshExpiredTiles: false,
      localIdeographFontFamily:
        "Inter, 'Noto Sans SC', 'PingFang SC', 'Microsoft YaHei', sans-serif",
    });
    map = one;
    // The one door for tests and for whoever looks into a running page.
    Object.assign(box, { map: one });
    one.touchZoomRotate.disableRotation();
    // A map that never tilts has no sky, which else is compiled first and drawn over everything each time.
    one.painter.drawFunctions = { ...one.painter.drawFunctions, sky: () => undefined };
    framing = new Framing(one, () => props.padding);
    if (props.camera) {
      const [longitude, latitude, zoom] = props.camera;
      one.jumpTo({ center: [longitude, latitude], zoom });
    } else framing.made(props.frame);
    one.setMissingStyleImageResolver((id) => {
      const pattern = patternOf(id);
      const image = pattern ? draw(pattern) : alertImage(id, PIXEL_RATIO);
      if (image && !one.hasImage(id)) one.addImage(id, image, { pixelRatio: PIXEL_RATIO });
    });
    one.once("style.load", () => {
      setReady(true);
      props.onReady?.({
        map: one,
        places: () => placesOf(one, props.level.id, props.scope),
        project: (place) => one.project([place[0], place[1]]),
        canvas: () => one.getCanvas(),
        fit: () => framing?.fit(props.frame, calm() ? 0 : CAMERA_MS),
      });
    });
    one.on("idle", () => props.onIdle?.());
    one.on("moveend", (event) => {
      // Only the reader's own moves enter the link; framing follows from the scope.
      if (!("originalEvent" in event) || !event.originalEvent) return;
      const { lng, lat } = one.getCenter();
      props.onCamera?.([lng, lat, one.getZoom()]);
    });
    if (props.interactive) attachPointer(one);
  });
  onCleanup(() => {
    painter?.stop();
    map?.remove();
  });

  /** English names travel with the label points only; empty: none, or another language. */
  const nameOf = (id: number): string => {
    if (props.lang !== "en" || !map) return "";
    const filter: FilterSpecification = ["==", ["id"], id];
    const [found] = map.querySourceFeatures(sourceOf(props.level.id), {
      sourceLayer: LABELS,
      filter,
    });
    return String(found?.properties.name_en ?? "");
  };

  const hitOf = (feature: MapGeoJSONFeature, event: MapMouseEvent): Hit => {
    const id = Number(feature.id);
    const now = values.data();
    const index = valueIndex(props.level, id);
    return {
      id,
      code: String(feature.properties.code),
      name: nameOf(id) || String(feature.properties.name),
      level: String(feature.properties.level ?? props.level.id),
      colour: now?.colour[index] ?? 0,
      theta: now?.theta[index] ?? 0,
      previous: before()?.colour[index] ?? 0,
      x: event.point.x,
      y: event.point.y,
    };
  };

  /** What is under the pointer, and the state that marks it. */
  const featureAt = (one: MapLibre, event: MapMouseEvent) => {
    const cell = props.cells && resolutionAt(props.cells, one.getZoom());
    const layer = cell ? cellFillOf(cell.res) : "fill";
    const feature = one.getLayer(layer)
      ? one.queryRenderedFeatures(event.point, { layers: [layer] })[0]
      : undefined;
    if (!feature) return null;
    const id = Number(feature.id);
    if (!cell) {
      const mark = { source: sourceOf(props.level.id), sourceLayer: UNITS, id };
      return { mark, hit: () => hitOf(feature, event) };
    }
    const mark = { source: cellSourceOf(cell.res), sourceLayer: CELLS, id };
    const hit = (): Hit => {
      const unit = one.queryRenderedFeatures(event.point, { layers: [GROUND] })[0];
      return {
        id,
        code: String(feature.properties.cell),
        name: unit ? nameOf(Number(unit.id)) || String(unit.properties.name) : "",
        level: `cell${cell.res}`,
        previous: 0,
        x: event.point.x,
        y: event.point.y,
        ...(painter?.at(cell.res, id) ?? { colour: 0, theta: 0 }),
      };
    };
    return { mark, hit };
  };

  /** Marks are drawn from the first one of their level on; a new style puts them out again. */
  let hovered = "";
  const light = () => {
    const lit = [...HOVER(hovered), ...SELECTED(props.selected?.level ?? "")];
    for (const layer of lit) {
      if (map?.getLayer(layer) && map.getPaintProperty(layer, "line-opacity") === 0)
        map.setPaintProperty(layer, "line-opacity", 1);
    }
  };

  const attachPointer = (one: MapLibre) => {
    let over: { source: string; sourceLayer: string; id: number } | null = null;
    const leave = () => {
      if (over && one.getSource(over.source)) one.setFeatureState(over, { hover: false });
      over = null;
      one.getCanvas().style.cursor = "";
      props.onHover?.(null);
    };
    one.on("mousemove", (event) => {
      const found = featureAt(one, event);
      if (!found) {
        leave();
        return;
      }
      const next = found.mark;
      if (over?.id !== next.id || over.source !== next.source) {
        if (over && one.getSource(over.source)) one.setFeatureState(over, { hover: false });
        one.setFeatureState(next, { hover: true });
        over = next;
        hovered = props.level.id;
        light();
      }
      one.getCanvas().style.cursor = "pointer";
      props.onHover?.(found.hit());
    });
    one.on("mouseout", leave);
    one.on("movestart", leave);
    const pick = (event: MapMouseEvent, again: boolean) => {
      const found = featureAt(one, event);
      if (found) props.onPick?.(found.hit(), again);
    };
    one.on("click", (event) => pick(event, false));
    one.on("dblclick", (event) => {
      event.preventDefault();
      pick(event, true);
    });
  };

  createEffect(
    on(
      input,
      (now) => {
        map?.setStyle(buildStyle(now), {
          diff: true,
          validate: false,
          transformStyle: withOverlays,
        });
        // At once: until it is drawn a new layer has no expressions, and a tile that comes from a worker
        // in between breaks on its feature states.
        light();
        map?.redraw();
      },
      { defer: true },
    ),
  );

  // Colours: the newest answer wins; an answer for another level is never painted on this one.
  createEffect(() => {
    if (!ready() || !values.fresh()) return;
    const now = values.data();
    if (now && now.colour.length === props.level.count) {
      paint(props.level, now, before());
      box.dataset.painted = now.of;
    }
  });

  // Cells are painted by their own hand; the units' states are forgotten meanwhile.
  createEffect(() => {
    if (!ready() || !map) return;
    const cells = props.cells ?? [];
    if (cells.length === 0 && !painter) return;
    painter ??= new CellPainter(
      map,
      (key) => {
        box.dataset.painted = key;
      },
      (res) => props.onResolution?.(res),
      (failure) => props.onFailure?.(failure),
    );
    if (cells.length > 0) {
      for (const level of painted.keys()) {
        for (const sourceLayer of [UNITS, LABELS]) {
          map.removeFeatureState({ source: sourceOf(level), sourceLayer });
        }
      }
      painted.clear();
    }
    const { run, kind, period, ord } = props.question;
    painter.show(cells.length > 0 ? { run, kind, period, ord, cells } : null);
  });

  let markedCell: { source: string; sourceLayer: string; id: number } | null = null;
  createEffect(() => {
    const cell = hasCells() ? props.selectedCell : null;
    if (!ready() || !map) return;
    if (markedCell && map.getSource(markedCell.source)) {
      map.setFeatureState(markedCell, { sel: false });
    }
    markedCell = cell ? { source: cellSourceOf(cell.res), sourceLayer: CELLS, id: cell.id } : null;
    if (markedCell && map.getSource(markedCell.source)) {
      map.setFeatureState(markedCell, { sel: true });
    }
  });

  // What is asked for, beside what is painted: whoever waits for the map can tell.
  createEffect(() => {
    box.dataset.asked = hasCells() ? cellKey(props.question) : addresses.values(props.question);
    box.dataset.scope = props.scope;
  });

  createEffect(() => {
    const asked = props.question;
    const n = props.level.count;
    const past = asked.ord > 0 && n <= MARKED_UNITS ? { ...asked, ord: asked.ord - 1 } : null;
    setBefore(past ? keptValues(past) : null);
    if (!past || keptValues(past) || !values.fresh()) return;
    const controller = new AbortController();
    onCleanup(() => controller.abort());
    fetchValues(past, n, controller.signal).then(setBefore, () => undefined);
  });

  let marked: { source: string; sourceLayer: string; id: number } | null = null;
  createEffect(() => {
    const unit = props.selected;
    if (!ready() || !map) return;
    if (marked) map.setFeatureState(marked, { sel: false });
    marked = unit ? { source: sourceOf(unit.level), sourceLayer: UNITS, id: unit.id } : null;
    if (marked && map.getSource(marked.source)) map.setFeatureState(marked, { sel: true });
    light();
  });

  createEffect(
    on(
      () => [props.frame, props.camera] as const,
      ([frame, camera], previous) => {
        if (!map) return;
        const duration = calm() ? 0 : CAMERA_MS;
        if (camera) {
          const [longitude, latitude, zoom] = camera;
          const at = map.getCenter();
          const moved =
            Math.abs(at.lng - longitude) + Math.abs(at.lat - latitude) > 2e-5 ||
            Math.abs(map.getZoom() - zoom) > 0.006;
          if (moved) map.easeTo({ center: [longitude, latitude], zoom, duration });
        } else if (previous) {
          framing?.fit(frame, duration);
        }
      },
      { defer: true },
    ),
  );

  const room = createMemo(() => props.padding, undefined, {
    equals: (a, b) => JSON.stringify(a) === JSON.stringify(b),
  });
  createEffect(on(room, () => framing?.follow(), { defer: true }));

  return <div ref={box} class="map-box" role="application" aria-label={props.label} />;
}

/** Loaded label points of one level, each unit once. */
export function placesOf(map: MapLibre, level: string, scope: string): Place[] {
  const filter: FilterSpecification | undefined =
    scope === "" ? undefined : ["==", ["slice", ["get", "code"], 0, scope.length], scope];
  const found = new Map<number, Place>();
  const features = map.querySourceFeatures(sourceOf(level), {
    sourceLayer: LABELS,
    ...(filter ? { filter } : {}),
  });
  for (const one of features) {
    if (one.geometry.type !== "Point") continue;
    const [longitude, latitude] = one.geometry.coordinates as [number, number];
    found.set(Number(one.id), {
      id: Number(one.id),
      code: String(one.properties.code),
      name: String(one.properties.name),
      point: [longitude, latitude],
    });
  }
  return [...found.values()];
}
