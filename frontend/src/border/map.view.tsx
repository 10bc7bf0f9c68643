/** The border map: pans, picks, and shows where one is. Its shapes come from `buildStyle`. */
import { LocateFixed, Maximize, Minus, Plus } from "lucide";
import { MapLibreMap as MapLibre, type MapMouseEvent, setWorkerUrl } from "maplibre-gl";
import workerAddress from "maplibre-gl/dist/maplibre-gl-worker.mjs?worker&url";
import { createEffect, createMemo, createSignal, on, onCleanup, onMount, Show } from "solid-js";
import { Spot } from "../analyst/spot.view";
import { Framing } from "../command/framing";
import { Icon } from "../command/icon";
import type { MapHandle } from "../command/map.view";
import { withOverlays } from "../command/overlays";
import { ScaleBar } from "../command/scale.view";
import { circleRing, type Position } from "../draw/shapes";
import { asking } from "../offline/offline";
import { unwrapped } from "../state/bounds";
import { createBig } from "../state/narrow";
import { draw, PIXEL_RATIO, patternOf } from "../style/patterns";
import { attachDraft } from "./drawing";
import { metresText } from "./format";
import type { MapInput } from "./map-sources";
import { buildStyle, CLUSTER_LAYERS } from "./map-style";
import { useBorder } from "./model";
import { askedText } from "./state";
import { picture, RATIO } from "./symbols";

setWorkerUrl(workerAddress);

const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

export function BorderMap() {
  const border = useBorder();
  const big = createBig();
  const { frame, view, say } = border;
  let box!: HTMLDivElement;
  let framing: Framing | undefined;
  const [map, setMap] = createSignal<MapLibre>();

  const input = createMemo<MapInput>(() => {
    const open = border.opened();
    return {
      map: frame.map(),
      theme: frame.theme(),
      lang: view.state.lang,
      phone: border.narrow(),
      scale: big(),
      pattern: view.state.pattern,
      lines: border.lines.value(),
      zones: border.zones.value()?.zones ?? [],
      checkpoints: border.checkpoints.value() ?? [],
      devices: border.devices.value()?.devices ?? [],
      clusters: border.clusters(),
      run: border.run(),
      cluster: open.what === "cluster" ? open.id : 0,
      zone: open.what === "zone" || open.what === "zone-change" ? open.id : zoneOfCheck(border),
      kind:
        (open.what === "cluster" &&
          border.clusters().find((one) => one.number === open.id)?.kind) ||
        view.state.kind,
    };
  });
  const home = createMemo(() => boundsOf(border.lines.value()?.lines) ?? frame.map().bounds);
  const padding = () =>
    border.narrow()
      ? { top: 24, right: 24, bottom: 60, left: 24 }
      : { top: 40 * big(), right: 40 * big(), bottom: 50 * big(), left: 40 * big() };

  onMount(() => {
    const one = new MapLibre({
      container: box,
      style: buildStyle(input()),
      transformRequest: (url) => {
        asking(new URL(url, location.origin).href);
        return { url };
      },
      bounds: unwrapped(home()),
      fitBoundsOptions: { padding: padding() },
      attributionControl: false,
      dragRotate: false,
      pitchWithRotate: false,
      touchPitch: false,
      doubleClickZoom: false,
      maxZoom: 17,
      minZoom: 4,
      fadeDuration: 0,
      renderWorldCopies: false,
      refreshExpiredTiles: false,
      localIdeographFontFamily:
        "Inter, 'Noto Sans SC', 'PingFang SC', 'Microsoft YaHei', sans-serif",
    });
    // The one door for tests and for whoever looks into a running page.
    Object.assign(box, { map: one });
    one.touchZoomRotate.disableRotation();
    one.keyboard.disableRotation();
    framing = new Framing(one, padding);
    if (view.state.camera) {
      const [longitude, latitude, zoom] = view.state.camera;
      one.jumpTo({ center: [longitude, latitude], zoom });
    } else framing.made(home());
    one.setMissingStyleImageResolver((id) => {
      if (one.hasImage(id)) return;
      const own = picture(id, frame.theme());
      if (own) {
        one.addImage(id, own, { pixelRatio: RATIO });
        return;
      }
      const pattern = patternOf(id);
      const image = pattern && draw(pattern);
      if (image) one.addImage(id, image, { pixelRatio: PIXEL_RATIO });
    });
    one.once("style.load", () => setMap(one));
    one.on("moveend", (event) => {
      if (!("originalEvent" in event) || !event.originalEvent) return;
      const { lng, lat } = one.getCenter();
      view.go({ camera: [lng, lat, one.getZoom()] }, "replace");
    });
    one.on("click", (event) => pick(one, event));
    one.on("mousemove", (event) => {
      const found = one.queryRenderedFeatures(event.point, { layers: layersOf(one) });
      one.getCanvas().style.cursor = found.length > 0 ? "pointer" : "";
    });
    const canvas = one.getCanvas();
    canvas.setAttribute("aria-label", say().mapLabel);
    canvas.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || border.draft.drawing()) return;
      const { lng, lat } = one.getCenter();
      ask(lng, lat);
    });
  });
  onCleanup(() => map()?.remove());

  const layersOf = (one: MapLibre) =>
    [...CLUSTER_LAYERS, "device", "device-far", "checkpoint"].filter((id) => one.getLayer(id));
  const ask = (lon: number, lat: number) =>
    view.go({ at: askedText({ lon, lat }), open: "", tab: "here" });
  const pick = (one: MapLibre, event: MapMouseEvent) => {
    // the click that closes an outline must not lead away from its form
    if (border.draft.drawing() || border.opened().what.startsWith("zone-")) return;
    const [x, y] = [event.point.x, event.point.y];
    const [hit] = one.queryRenderedFeatures(
      [
        [x - 6, y - 6],
        [x + 6, y + 6],
      ],
      { layers: layersOf(one) },
    );
    const number = Number(hit?.properties.number);
    if (hit && CLUSTER_LAYERS.includes(hit.layer.id)) border.open({ what: "cluster", id: number });
    else if (hit?.geometry.type === "Point") {
      const [lon, lat] = hit.geometry.coordinates as Position;
      ask(lon, lat);
    } else ask(event.lngLat.lng, event.lngLat.lat);
  };

  createEffect(
    on(
      input,
      (now) => {
        const one = map();
        if (!one) return;
        one.setStyle(buildStyle(now), {
          diff: true,
          validate: false,
          transformStyle: withOverlays,
        });
        one.redraw();
        mark(one);
        sketch(one);
      },
      { defer: true },
    ),
  );

  // ---- where one is: a line to the nearest place of the border, and how sure the device is
  const at = createMemo((): Position | null => {
    const where = border.here.where();
    return where ? [where.lon, where.lat] : null;
  });
  /** The line to the border leaves downward: the number stands above. */
  const south = () => {
    const azimuth = border.here.where()?.azimuth ?? 0;
    return azimuth > 90 && azimuth < 270;
  };
  const fill = (one: MapLibre, id: string, features: GeoJSON.Feature[]) => {
    const source = one.getSource(id);
    if (!source || !("setData" in source)) return;
    (source as { setData: (data: GeoJSON.FeatureCollection) => void }).setData({
      type: "FeatureCollection",
      features,
    });
  };
  const sketch = (one: MapLibre) => {
    const geometry = border.draft.outline();
    fill(one, "draft", geometry ? [{ type: "Feature", properties: {}, geometry }] : []);
  };
  const mark = (one: MapLibre) => {
    const place = at();
    const where = border.here.where();
    const features: GeoJSON.Feature[] = [];
    if (place && where?.nearest) {
      features.push({
        type: "Feature",
        properties: {},
        geometry: {
          type: "LineString",
          coordinates: [place, [where.nearest.lon, where.nearest.lat]],
        },
      });
    }
    const metres = border.here.accuracy();
    if (place && metres) {
      features.push({
        type: "Feature",
        properties: {},
        geometry: { type: "Polygon", coordinates: [circleRing(place, metres, 48)] },
      });
    }
    fill(one, "leader", features);
  };
  createEffect(() => {
    const one = map();
    if (one) {
      at();
      border.here.accuracy();
      mark(one);
    }
  });
  createEffect(() => {
    const one = map();
    if (one) sketch(one);
  });
  const fly = (box: readonly [number, number, number, number], maxZoom = 12.5) =>
    framing?.fit(box, calm() ? 0 : 600, maxZoom);
  createEffect(
    on(at, (place) => {
      const one = map();
      if (!one || !place) return;
      const where = border.here.where();
      const end: Position = where?.nearest ? [where.nearest.lon, where.nearest.lat] : place;
      const far = (where?.metres_to_line ?? 0) > 40_000;
      const inView = one.getBounds().contains(place) && one.getZoom() > 8.5;
      // what was clicked is seen already
      if (!border.here.following() && inView) return;
      const pad = 0.01;
      const all = far ? [place] : [place, end];
      fly([
        Math.min(...all.map((p) => p[0])) - pad,
        Math.min(...all.map((p) => p[1])) - pad,
        Math.max(...all.map((p) => p[0])) + pad,
        Math.max(...all.map((p) => p[1])) + pad,
      ]);
    }),
  );

  // ---- what is opened is brought into view
  createEffect(
    on(
      () => [border.opened(), border.zones.value(), border.clusters()] as const,
      ([open, zones, clusters], before) => {
        if (!map()) return;
        if (before && JSON.stringify(before[0]) === JSON.stringify(open) && framed) return;
        framed = false;
        const id = open.what === "zone" ? open.id : zoneOfCheck(border);
        if (open.what === "cluster") {
          const found = clusters.find((one) => one.number === open.id);
          if (!found) return;
          const ring = circleRing(found.centre, Math.max(found.radius_m, 3000) * 1.8);
          framed = true;
          fly(boxOfRing(ring), 11);
        } else if (id > 0) {
          const found = zones?.zones.find((one) => one.id === id);
          const box = boundsOf([{ geometry: found?.version?.geometry }]);
          if (!box) return;
          framed = true;
          fly(box);
        }
      },
    ),
  );
  let framed = false;
  createEffect(
    on(
      () => border.lines.value() !== undefined,
      (known) => {
        const open = border.opened().what;
        if (known && !view.state.camera && !view.state.at && open === "") fly(home());
      },
    ),
  );
  createEffect(() => {
    const one = map();
    if (one) attachDraft(one, border);
  });
  createEffect(() => map()?.getCanvas().setAttribute("aria-label", say().mapLabel));

  return (
    <div class="map-pane border-map-pane" classList={{ drawing: border.draft.drawing() }}>
      <div ref={box} class="map-box" />
      <Show when={at()}>
        {(place) => (
          <Spot map={map()} at={place()} class={south() ? "own-spot own-above" : "own-spot"}>
            <i class="own-dot" />
            <Show when={border.here.where()?.metres_to_line}>
              {(metres) => <b class="own-metres">{metresText(metres())}</b>}
            </Show>
          </Spot>
        )}
      </Show>
      <div class="map-tools floating">
        <Show when={!border.narrow()}>
          <button
            type="button"
            class="icon-button"
            title={frame.words().zoomIn}
            aria-label={frame.words().zoomIn}
            onClick={() => map()?.zoomIn()}
          >
            <Icon node={Plus} />
          </button>
          <button
            type="button"
            class="icon-button"
            title={frame.words().zoomOut}
            aria-label={frame.words().zoomOut}
            onClick={() => map()?.zoomOut()}
          >
            <Icon node={Minus} />
          </button>
        </Show>
        <button
          type="button"
          class="icon-button"
          title={frame.words().fit}
          aria-label={frame.words().fit}
          onClick={() => {
            view.go({ camera: null }, "replace");
            fly(home());
          }}
        >
          <Icon node={Maximize} />
        </button>
        <button
          type="button"
          class="icon-button"
          aria-pressed={border.here.following()}
          title={say().locate}
          aria-label={say().locate}
          onClick={() => (border.here.following() ? border.here.stop() : border.here.follow())}
        >
          <Icon node={LocateFixed} />
        </button>
      </div>
      <ScaleBar handle={{ map: map() } as unknown as MapHandle} />
    </div>
  );
}

/** Zone of the check that is open; 0: none. */
function zoneOfCheck(border: ReturnType<typeof useBorder>): number {
  const open = border.opened();
  if (open.what !== "check") return 0;
  return border.checks.value()?.checks.find((one) => one.id === open.id)?.zone ?? 0;
}

type Bounds = [number, number, number, number];

function boxOfRing(ring: readonly Position[]): Bounds {
  const x = ring.map((one) => one[0]);
  const y = ring.map((one) => one[1]);
  return [Math.min(...x), Math.min(...y), Math.max(...x), Math.max(...y)];
}

/** Box of GeoJSON geometries; null: there are none. */
function boundsOf(all: readonly { geometry?: unknown }[] | undefined): Bounds | null {
  const box: Bounds = [180, 90, -180, -90];
  const walk = (one: unknown): void => {
    if (!Array.isArray(one)) return;
    if (typeof one[0] === "number") {
      const [x, y] = one as Position;
      box[0] = Math.min(box[0], x);
      box[1] = Math.min(box[1], y);
      box[2] = Math.max(box[2], x);
      box[3] = Math.max(box[3], y);
    } else one.forEach(walk);
  };
  for (const one of all ?? []) walk((one.geometry as { coordinates?: unknown })?.coordinates);
  return box[0] <= box[2] ? box : null;
}
