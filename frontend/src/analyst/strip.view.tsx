/** Twelve months of the area as small maps of one scale: the classes of the units inside. */
import type { Geometry } from "geojson";
import type { MapLibreMap } from "maplibre-gl";
import { createEffect, createMemo, createSignal, For, on, onCleanup, Show } from "solid-js";
import { createAnswer } from "../api/answer";
import { COLOURS } from "../api/models";
import { fetchValues } from "../api/values";
import { useFrame } from "../command/frame";
import { boxOf, type Ring } from "../draw/shapes";
import { valueIndex } from "../state/levels";
import { ymd } from "../state/periods";
import type { Theme } from "../style/theme";
import { useAsk } from "./ask";
import { groundOf, unitsInside } from "./inside";

const MONTHS = 12;
const [WIDE, HIGH] = [124, 92];

export function MonthStrip(props: { map: MapLibreMap | undefined; ord: number }) {
  const ask = useAsk();
  const say = ask.say;
  const { map, theme, title } = useFrame();
  const parts = createMemo(() => ask.outlines(ask.view.state.active));
  const [pieces, setPieces] = createSignal<{ id: number; geometry: Geometry }[]>([]);
  const [inside, setInside] = createSignal<number | null>(null);

  // the ground is what the map has loaded: looked up whenever it comes to rest
  createEffect(
    on([() => props.map, parts, ask.level], ([one, rings, level]) => {
      const box = boxOf(rings);
      if (!one || !box) {
        setPieces([]);
        return;
      }
      const look = () => {
        const found = unitsInside(one, level.id, rings);
        if (!found.whole) return;
        setPieces(groundOf(one, level.id, box));
        setInside(found.ids.length);
      };
      look();
      one.on("idle", look);
      onCleanup(() => one.off("idle", look));
    }),
  );

  const last = () => {
    const months = map().periods.month;
    const index = months.findLastIndex((one) => one.start < ask.span().to);
    return index < 0 ? months.length - 1 : index;
  };
  const ords = createMemo(() =>
    Array.from({ length: MONTHS }, (_, i) => last() - MONTHS + 1 + i).filter((one) => one >= 0),
  );
  const values = createAnswer(
    () =>
      ords().length === 0
        ? null
        : { run: map().run, level: ask.level(), kind: ask.focus(), ords: ords() },
    async ({ run, level, kind, ords: wanted }, signal) => ({
      level,
      months: await Promise.all(
        wanted.map((ord) =>
          fetchValues({ run, level: level.id, kind, period: "month", ord }, level.count, signal),
        ),
      ),
    }),
  );
  const name = (ord: number, index: number) => {
    const start = map().periods.month[ord]?.start ?? "";
    const { year, month } = ymd(start);
    const long = index === 0 || month === 1;
    if (ask.view.state.lang === "en") return long ? start.slice(2, 7) : String(month);
    return long ? `${String(year).slice(2)}·${month}月` : `${month}月`;
  };
  return (
    <section class="strip" aria-label={say().strip(title(ask.level().title), "")}>
      <h3>
        <span>
          {ask.active()
            ? say().strip(title(ask.level().title), inside() === null ? "" : String(inside()))
            : say().stripEmpty}
        </span>
        <Show when={ask.view.state.job}>
          <span>{say().stripHot}</span>
        </Show>
      </h3>
      <div class="strip-maps">
        <For each={ask.active() ? ords() : []}>
          {(ord, index) => (
            <button
              type="button"
              class="strip-map"
              data-ord={ord}
              aria-pressed={props.ord === ord}
              title={map().periods.month[ord]?.start.slice(0, 7)}
              onClick={() => ask.view.go({ ord: ord === last() ? null : ord }, "replace")}
            >
              <Small
                parts={parts()}
                pieces={pieces()}
                theme={theme()}
                colourOf={(id) => {
                  const found = values.data();
                  if (!found || found.level.id !== ask.level().id) return null;
                  const at = valueIndex(found.level, id);
                  return found.months[index()]?.colour[at] ?? null;
                }}
              />
              <span>{name(ord, index())}</span>
            </button>
          )}
        </For>
      </div>
    </section>
  );
}

function Small(props: {
  parts: readonly Ring[][];
  pieces: readonly { id: number; geometry: Geometry }[];
  theme: Theme;
  colourOf: (id: number) => number | null;
}) {
  let canvas!: HTMLCanvasElement;
  createEffect(() => {
    const pen = canvas.getContext("2d") as CanvasRenderingContext2D;
    paint(pen, props.parts, props.pieces, props.theme, props.colourOf);
  });
  return <canvas ref={canvas} width={WIDE} height={HIGH} />;
}

function paint(
  pen: CanvasRenderingContext2D,
  parts: readonly Ring[][],
  pieces: readonly { id: number; geometry: Geometry }[],
  theme: Theme,
  colourOf: (id: number) => number | null,
): void {
  pen.clearRect(0, 0, WIDE, HIGH);
  const box = boxOf(parts);
  if (!box) return;
  const [west, south, east, north] = box;
  const k = Math.cos((((south + north) / 2) * Math.PI) / 180);
  const scale = Math.min((WIDE - 6) / ((east - west) * k), (HIGH - 6) / (north - south));
  const x = (lon: number) => WIDE / 2 + (lon - (west + east) / 2) * k * scale;
  const y = (lat: number) => HIGH / 2 - (lat - (south + north) / 2) * scale;
  const trace = (rings: readonly (readonly (readonly number[])[])[]) => {
    for (const ring of rings) {
      ring.forEach(([lon, lat], i) => {
        if (i === 0) pen.moveTo(x(lon as number), y(lat as number));
        else pen.lineTo(x(lon as number), y(lat as number));
      });
      pen.closePath();
    }
  };
  pen.save();
  pen.beginPath();
  trace(parts.flat());
  pen.clip("evenodd");
  pen.fillStyle = theme.neutral.track;
  pen.fillRect(0, 0, WIDE, HIGH);
  for (const { id, geometry } of pieces) {
    const colour = colourOf(id);
    if (colour === null) continue;
    pen.fillStyle = theme.classes[COLOURS[colour] ?? "none"].fill;
    pen.beginPath();
    if (geometry.type === "Polygon") trace(geometry.coordinates);
    else if (geometry.type === "MultiPolygon") trace(geometry.coordinates.flat());
    pen.fill("evenodd");
  }
  pen.restore();
  pen.beginPath();
  trace(parts.flat());
  pen.strokeStyle = theme.neutral.ink3;
  pen.lineWidth = 1.5;
  pen.stroke();
}
