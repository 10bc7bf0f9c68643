/** The wall's map: call-outs with leaders outside the city, the dense core as an inset, scale bar. */
import { createEffect, createMemo, createSignal, For, Show } from "solid-js";
import { addresses, api } from "../api/client";
import type { RankingRow, Why } from "../api/models";
import { count, expectedCount, ratio } from "../charts/numbers";
import {
  type Anchor,
  emptiest,
  gridOf,
  grow as grown,
  type Placed,
  placeCallouts,
  type Rect,
} from "./callouts";
import { kindName } from "./kind-names";
import { type MapHandle, MapView } from "./map.view";
import { useModel } from "./model";
import { type Box, densestWindow } from "./neighbours";
import { ScaleBar } from "./scale.view";

const CALLOUTS = 4;

interface Layout {
  inset: Rect | null;
  frame: Box | null;
  outline: Rect | null;
  notes: Placed[];
}

export function WallMap(props: { scale: number }) {
  const model = useModel();
  const { view, words } = model;
  const [handle, setHandle] = createSignal<MapHandle>();
  const [layout, setLayout] = createSignal<Layout>({
    inset: null,
    frame: null,
    outline: null,
    notes: [],
  });
  const [why, setWhy] = createSignal<Record<string, Why>>({});
  const s = () => props.scale;

  const value = createMemo(() => {
    const { within: _within, ...rest } = model.question();
    return rest;
  });
  const selected = createMemo(() => {
    const unit = view.state.unit !== "" ? model.selected.data() : undefined;
    return unit && unit.code === view.state.unit ? { id: unit.id, level: unit.level } : null;
  });
  const frame = createMemo(() => model.scope()?.bounds ?? model.map().bounds);
  const noted = createMemo(() =>
    (model.ranking.data()?.rows ?? [])
      .filter((row) => row.colour === "red" || row.colour === "orange")
      .slice(0, CALLOUTS),
  );

  let key = "";
  /** Once everything is drawn: find the empty corner, the dense core, and room for the notes. */
  const arrange = () => {
    const one = handle();
    const rows = noted();
    if (!one || !model.ranking.fresh()) return;
    const { clientWidth, clientHeight } = one.map.getContainer();
    const codes = rows.map((row) => row.unit.code);
    const next = JSON.stringify([frame(), codes, model.level().id, clientWidth, clientHeight]);
    if (next === key) return;
    const places = one.places();
    if (places.length === 0) return;
    key = next;
    setLayout(arranged(one, places, rows, frame(), s()));
    for (const row of rows) {
      api
        .why(
          addresses.why(
            model.map().run,
            row.unit.code,
            model.kind().id,
            view.state.period,
            model.ord(),
          ),
        )
        .then(
          (answer) => setWhy((all) => ({ ...all, [row.unit.code]: answer })),
          () => undefined,
        );
    }
  };

  // The ranking may come after the map has gone quiet, or before.
  createEffect(() => {
    const one = handle();
    if (one && model.ranking.fresh() && noted() && one.map.loaded()) arrange();
  });

  // Getters, not one object per change: a new selection must touch neither style nor camera.
  const common = {
    get info() {
      return model.map();
    },
    get theme() {
      return model.theme();
    },
    get level() {
      return model.level();
    },
    get scope() {
      return model.scope()?.code ?? "";
    },
    get scopeIndex() {
      return model.scopeIndex();
    },
    get pattern() {
      return view.state.pattern;
    },
    get lang() {
      return view.state.lang;
    },
    get question() {
      return value();
    },
    get selected() {
      return selected();
    },
    labels: true,
    interactive: false,
    camera: null,
  };

  return (
    <div class="wall-map">
      <Show when={view.state.scope === "" || model.scope()}>
        <MapView
          {...common}
          scale={s()}
          frame={frame()}
          padding={{ top: 24 * s(), right: 24 * s(), bottom: 56 * s(), left: 24 * s() }}
          label={words().mapLabel(model.scopeName(), model.title(model.level().title))}
          onReady={setHandle}
          onIdle={arrange}
        />
      </Show>
      <svg class="wall-lines" aria-hidden="true">
        <Show when={layout().outline}>
          {(box) => (
            <rect
              class="core-outline"
              x={box().x}
              y={box().y}
              width={box().width}
              height={box().height}
            />
          )}
        </Show>
        <For each={layout().notes}>
          {(note) => (
            <>
              <line class="leader" x1={note.from.x} y1={note.from.y} x2={note.x} y2={note.y} />
              <circle class="leader-end" cx={note.x} cy={note.y} r={4 * s()} />
            </>
          )}
        </For>
      </svg>
      <For each={layout().notes}>
        {(note) => (
          <Callout
            note={note}
            row={noted().find((row) => row.unit.code === note.code)}
            why={why()[note.code]}
          />
        )}
      </For>
      <Show when={layout().inset}>
        {(rect) => (
          <div
            class="wall-inset"
            style={{
              left: `${rect().x}px`,
              top: `${rect().y}px`,
              width: `${rect().width}px`,
              height: `${rect().height}px`,
            }}
          >
            <MapView
              {...common}
              scale={s() * 0.9}
              frame={layout().frame ?? frame()}
              padding={{ top: 4, right: 4, bottom: 4, left: 4 }}
              label={words().core}
            />
            <b>{words().core}</b>
          </div>
        )}
      </Show>
      <ScaleBar handle={handle()} room={110 * s()} />
    </div>
  );
}

function Callout(props: { note: Placed; row: RankingRow | undefined; why: Why | undefined }) {
  const model = useModel();
  const worst = () => [...(props.why?.contributions ?? [])].sort((a, b) => b.value - a.value)[0];
  return (
    <Show when={props.row}>
      {(row) => (
        <p class="callout" style={{ left: `${props.note.box.x}px`, top: `${props.note.box.y}px` }}>
          <b>
            {model.nameOf(row().unit)} {ratio(row().theta)}×
          </b>
          <span>
            <Show
              when={worst()}
              fallback={model
                .words()
                .kindShort(
                  kindName(model, model.kind().id),
                  count(row().observed),
                  expectedCount(row().expected),
                )}
            >
              {(one) => (
                <>
                  {model
                    .words()
                    .kindShort(
                      kindName(model, one().kind),
                      count(one().observed),
                      expectedCount(one().expected),
                    )}
                </>
              )}
            </Show>
          </span>
        </p>
      )}
    </Show>
  );
}

function arranged(
  one: MapHandle,
  places: ReturnType<MapHandle["places"]>,
  rows: readonly RankingRow[],
  frame: readonly [number, number, number, number],
  scale: number,
): Layout {
  const box = one.map.getContainer();
  const width = box.clientWidth;
  const height = box.clientHeight;
  const covered = (x: number, y: number) =>
    one.map.queryRenderedFeatures([x, y], { layers: ["fill"] }).length > 0;

  const w = 372 * scale;
  const h = 284 * scale;
  const edge = 12 * scale;
  const corners: Rect[] = [
    { x: width - w - edge, y: height - h - edge, width: w, height: h },
    { x: edge, y: edge, width: w, height: h },
    { x: width - w - edge, y: edge, width: w, height: h },
    { x: edge, y: height - h - edge - 40 * scale, width: w, height: h },
  ];
  const corner = emptiest(corners, covered);
  const spanX = frame[2] - frame[0];
  const ratioYX = Math.cos((((frame[1] + frame[3]) / 2) * Math.PI) / 180);
  const windowX = spanX * 0.24;
  const core =
    places.length >= 40
      ? densestWindow(
          places.map((place) => place.point),
          windowX,
          (windowX * ratioYX * h) / w,
        )
      : null;
  const hasInset = corner !== null && corner.share <= 0.12 && core !== null;
  const inset = hasInset ? corner.rect : null;
  let outline: Rect | null = null;
  if (inset && core) {
    const a = one.project([core[0], core[3]]);
    const b = one.project([core[2], core[1]]);
    outline = { x: a.x, y: a.y, width: b.x - a.x, height: b.y - a.y };
  }

  const noteSize = { width: 250 * scale, height: 52 * scale };
  const room: Rect = {
    x: edge,
    y: edge,
    width: width - noteSize.width - 2 * edge,
    height: height - noteSize.height - 2 * edge - 40 * scale,
  };
  const free = gridOf(room, 26, 20)
    .map(([x, y]): Rect => ({ x, y, ...noteSize }))
    .filter((rect) => !gridOf(grown(rect, 14 * scale), 7, 4).some(([x, y]) => covered(x, y)));
  const anchors: Anchor[] = rows.flatMap((row) => {
    const place = places.find((candidate) => candidate.code === row.unit.code);
    if (!place) return [];
    const at = one.project(place.point);
    return [{ code: row.unit.code, x: at.x, y: at.y }];
  });
  const notes = placeCallouts(anchors, free, inset ? [inset] : [], CALLOUTS);
  return { inset, frame: hasInset ? core : null, outline, notes };
}
