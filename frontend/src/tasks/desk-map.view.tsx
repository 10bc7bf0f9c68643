/** The desk's map: every task of the list as a pin, the open one in its colours among its neighbours. */
import type { GeoJSONSource } from "maplibre-gl";
import { createEffect, createMemo, createSignal, For } from "solid-js";
import { createAnswer } from "../api/answer";
import { addresses } from "../api/client";
import { CLASSES, COLOURS, type Colour, type LevelInfo, type UnitDetail } from "../api/models";
import { fetchValues } from "../api/values";
import { count } from "../charts/numbers";
import { Swatch } from "../command/chip.view";
import { type MapHandle, MapView } from "../command/map.view";
import { OVER } from "../command/overlays";
import { asking, heard } from "../offline/offline";
import { defaultLevel, levelIndex, scopeIndex } from "../state/levels";
import { createBig } from "../state/narrow";
import { newest } from "../state/periods";
import { useBoard } from "./board";
import { around, type Box, boxOf } from "./place";
import { isOpen } from "./steps";

const PINS = `${OVER}tasks`;

export default function DeskMap() {
  const big = createBig();
  const board = useBoard();
  const { frame, view, say } = board;
  const [handle, setHandle] = createSignal<MapHandle>();
  const shown = createMemo(() => (board.tasks() ?? []).filter((one) => isOpen(one.state)));
  const unit = createAnswer(
    () => {
      const task = board.open();
      return task ? addresses.unit(frame.map().pack, task.code) : null;
    },
    async (address, signal) => (await heard<UnitDetail>(address, signal)).value,
  );
  /** The level of the open task, else the one a whole map is shown at. */
  const level = createMemo((): LevelInfo => {
    const found = levelIndex(frame.map(), board.open()?.level ?? "");
    return (
      frame.map().levels[found] ?? defaultLevel(frame.map(), scopeIndex(frame.map(), undefined))
    );
  });
  const question = createMemo(() => {
    const kind = board.open()?.kind ?? "overall";
    return {
      run: frame.map().run,
      level: level().id,
      kind: frame.map().kinds.some((one) => one.id === kind) ? kind : "overall",
      period: "month" as const,
      ord: newest(frame.map().periods.month),
    };
  });
  const selected = createMemo(() => {
    const found = unit.fresh() ? unit.data() : undefined;
    return found && board.open()?.code === found.code
      ? { id: found.id, level: found.level, bounds: found.bounds }
      : null;
  });
  const box = createMemo(
    (): Box => {
      const one = selected();
      if (one) return around(one.bounds, 4);
      return (
        boxOf(shown().map((task) => [task.lon, task.lat] as const)) ??
        (frame.map().bounds as unknown as Box)
      );
    },
    undefined,
    { equals: (a, b) => JSON.stringify(a) === JSON.stringify(b) },
  );

  createEffect(() => {
    const map = handle()?.map;
    if (!map) return;
    const data = {
      type: "FeatureCollection" as const,
      features: shown().map((task) => ({
        type: "Feature" as const,
        id: task.id,
        properties: { open: task.id === view.state.task },
        geometry: { type: "Point" as const, coordinates: [task.lon, task.lat] },
      })),
    };
    const known = map.getSource<GeoJSONSource>(PINS);
    if (known) known.setData(data);
    else {
      map.addSource(PINS, { type: "geojson", data });
      map.addLayer({
        id: PINS,
        type: "symbol",
        source: PINS,
        layout: {
          "icon-image": "task-pin",
          "icon-size": ["case", ["get", "open"], 1.25, 1],
          "icon-anchor": "bottom",
          "icon-allow-overlap": true,
        },
      });
    }
  });
  const ready = (one: MapHandle) => {
    const pin = drawPin();
    if (pin && !one.map.hasImage("task-pin")) one.map.addImage("task-pin", pin, { pixelRatio: 2 });
    one.map.on("click", PINS, (event) => {
      const id = Number(event.features?.[0]?.id);
      if (id > 0) view.go({ task: id, form: false });
    });
    setHandle(one);
  };
  const counts = createAnswer(
    () => ({ question: question(), n: level().count }),
    async (asked, signal) => {
      const out = new Map<Colour, number>();
      for (const one of (await fetchValues(asked.question, asked.n, signal)).colour) {
        const colour = COLOURS[one] as Colour;
        out.set(colour, (out.get(colour) ?? 0) + 1);
      }
      return out;
    },
  );
  return (
    <>
      <MapView
        info={frame.map()}
        theme={frame.theme()}
        level={level()}
        scope=""
        scopeIndex={-1}
        pattern={view.state.pattern}
        scale={big()}
        labels
        lang={view.state.lang}
        interactive
        onAsk={asking}
        question={question()}
        selected={selected()}
        frame={box()}
        camera={null}
        padding={{ top: 60, right: 60, bottom: 60, left: 60 }}
        label={say().map}
        onReady={ready}
      />
      <div class="legend floating">
        <h2>
          <span>{frame.title(level().title)}</span>
          <span>{board.kindName(question().kind)}</span>
        </h2>
        <ul>
          <For each={CLASSES}>
            {(colour) => (
              <li>
                <Swatch colour={colour} wide />
                <b>{frame.words().colours[colour]}</b>
                <span />
                <span class="n">
                  {count(counts.data() ? (counts.data()?.get(colour) ?? 0) : null)}
                </span>
              </li>
            )}
          </For>
        </ul>
      </div>
    </>
  );
}

/** A black pin with a white edge, at twice its size. */
function drawPin(): ImageData | null {
  const canvas = document.createElement("canvas");
  canvas.width = 44;
  canvas.height = 56;
  const pen = canvas.getContext("2d");
  if (!pen) return null;
  pen.beginPath();
  pen.arc(22, 22, 18, Math.PI * 0.82, Math.PI * 0.18);
  pen.lineTo(22, 53);
  pen.closePath();
  pen.fillStyle = "#12161C";
  pen.strokeStyle = "#FFFFFF";
  pen.lineWidth = 4;
  pen.lineJoin = "round";
  pen.stroke();
  pen.fill();
  pen.beginPath();
  pen.arc(22, 22, 6, 0, Math.PI * 2);
  pen.fillStyle = "#FFFFFF";
  pen.fill();
  return pen.getImageData(0, 0, canvas.width, canvas.height);
}
