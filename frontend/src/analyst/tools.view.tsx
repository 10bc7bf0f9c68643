/** The tool column at the map's left; a row above the sheet on phones. */
import {
  Braces,
  Circle,
  Grid2x2Check,
  type IconNode,
  LocateFixed,
  Magnet,
  MousePointer2,
  Pencil,
  Pentagon,
  Redo2,
  Spline,
  Square,
  SquaresIntersect,
  SquaresSubtract,
  SquaresUnite,
  Trash2,
  Undo2,
  Upload,
} from "lucide";
import { createEffect, createSignal, For, Show } from "solid-js";
import { analysis, bodyOf } from "../api/analysis";
import { useFrame } from "../command/frame";
import { Icon } from "../command/icon";
import type { MapHandle } from "../command/map.view";
import type { Drawer } from "../draw/drawer";
import { settled } from "../draw/encode";
import { boxOf, type Ring } from "../draw/shapes";
import { type Hand, letter, plain, useAsk } from "./ask";
import { Bring } from "./bring.view";
import { keyOf } from "./keys";

const ICONS: [Hand, IconNode][] = [
  ["move", MousePointer2],
  ["polygon", Pentagon],
  ["rectangle", Square],
  ["circle", Circle],
  ["corridor", Spline],
  ["freehand", Pencil],
  ["units", Grid2x2Check],
];
const COMBINE = [
  ["union", SquaresUnite],
  ["minus", SquaresSubtract],
  ["intersect", SquaresIntersect],
] as const;

export function Tools(props: { drawer: Drawer | undefined; map: MapHandle | undefined }) {
  const ask = useAsk();
  const say = ask.say;
  const { words, map } = useFrame();
  const { state } = ask.view;
  const [bringing, setBringing] = createSignal<"upload" | "paste" | null>(null);
  const [trouble, setTrouble] = createSignal("");

  const combine = async (op: (typeof COMBINE)[number][0]) => {
    const areas = plain(state.areas);
    const first = areas[state.active];
    if (!first || areas.length < 2) return;
    const others = areas.filter((_, index) => index !== state.active);
    const name =
      op === "minus"
        ? [
            letter(state.active),
            ...others.map((_, i) => letter(i < state.active ? i : i + 1)),
          ].join("−")
        : areas.map((_, i) => letter(i)).join(op === "union" ? "∪" : "∩");
    try {
      const made = await analysis.shape(map().pack, {
        combine: { op, areas: [first, ...others].map((one) => bodyOf(one.shape)) },
      });
      setTrouble("");
      ask.put(
        [
          ...areas,
          { name, shape: { kind: "polygon", parts: made.geojson.coordinates as Ring[][] } },
        ],
        areas.length,
      );
    } catch (error) {
      setTrouble(say().faultOther(error instanceof Error ? error.message : String(error)));
    }
  };
  /** A finished circle or corridor: its radius or width can be typed. */
  const sized = () => {
    const shape = ask.moving()?.shape ?? ask.active()?.shape;
    return shape?.kind === "circle" || shape?.kind === "corridor" ? shape : undefined;
  };
  const resize = (field: HTMLInputElement) => {
    const areas = plain(state.areas);
    const area = areas[state.active];
    if (area?.shape.kind !== "circle" && area?.shape.kind !== "corridor") return;
    const metres = Math.min(500_000, Math.max(1, Number(field.value)));
    if (!Number.isFinite(metres) || field.value.trim() === "") {
      field.value = String(area.shape.metres);
      return;
    }
    areas[state.active] = { ...area, shape: settled({ ...area.shape, metres }) };
    ask.put(areas, state.active);
  };
  const look = () => {
    // beside another map only its own area has room
    const shown = state.vs === "" ? state.areas.map((_, index) => index) : [state.active];
    const box = boxOf(shown.flatMap((index) => ask.outlines(index)));
    props.map?.map.fitBounds(box ?? (map().bounds as [number, number, number, number]), {
      padding: innerWidth < 720 || state.vs !== "" ? 50 : 80,
      maxZoom: 15,
    });
  };
  createEffect(() => {
    if (props.map) ask.setLook(() => requestAnimationFrame(look));
  });
  const title = (hand: Hand) => `${say().tool[hand]} (${keyOf(hand)})`;
  return (
    <>
      <div
        class="tools floating"
        role="toolbar"
        aria-label={say().tools}
        aria-orientation="vertical"
      >
        <For each={ICONS}>
          {([hand, icon]) => (
            <Tool
              icon={icon}
              title={title(hand)}
              name={hand}
              pressed={ask.hand() === hand}
              onClick={() => ask.setHand(hand)}
            />
          )}
        </For>
        <hr />
        <Tool
          icon={Undo2}
          title={say().undo}
          name="undo"
          disabled={!ask.canUndo() && ask.corners() === 0}
          onClick={ask.stepBack}
        />
        <Tool
          icon={Redo2}
          title={say().redo}
          name="redo"
          disabled={!ask.canRedo() && ask.corners() === 0}
          onClick={ask.stepForward}
        />
        <Tool
          icon={Trash2}
          title={say().remove}
          name="remove"
          disabled={state.areas.length === 0}
          onClick={() => ask.remove(state.active)}
        />
        <For each={COMBINE}>
          {([op, icon]) => (
            <Tool
              icon={icon}
              title={
                state.areas.length < 2 ? say()[op] + words().bracket(say().needTwo) : say()[op]
              }
              name={op}
              disabled={state.areas.length < 2}
              onClick={() => combine(op)}
            />
          )}
        </For>
        <hr />
        <Tool
          icon={Upload}
          title={say().upload}
          name="upload"
          pressed={bringing() === "upload"}
          onClick={() => setBringing(bringing() === "upload" ? null : "upload")}
        />
        <Tool
          icon={Braces}
          title={say().paste}
          name="paste"
          pressed={bringing() === "paste"}
          onClick={() => setBringing(bringing() === "paste" ? null : "paste")}
        />
        <Tool
          icon={Magnet}
          title={say().snap}
          name="snap"
          pressed={ask.snapping()}
          onClick={() => ask.setSnapping(!ask.snapping())}
        />
        <Tool icon={LocateFixed} title={words().fit} name="fit" onClick={look} />
      </div>
      <Show when={ask.hand() !== "move"}>
        <div class="drawing-bar floating" role="status">
          <span>{say().hint[ask.hand()]}</span>
          <Show when={ask.hand() === "corridor"}>
            <label class="width-field">
              {say().width}
              <input
                type="number"
                min="1"
                max="50000"
                value={ask.width()}
                onChange={(event) =>
                  ask.setWidth(Math.max(1, Number(event.currentTarget.value) || 1))
                }
              />
              {say().metres}
            </label>
          </Show>
          <Show when={ask.corners() > (ask.hand() === "corridor" ? 1 : 2)}>
            <button
              type="button"
              class="button button-primary"
              onClick={() => props.drawer?.finish()}
            >
              {say().finish}
            </button>
          </Show>
          <button
            type="button"
            class="button"
            onClick={() => {
              props.drawer?.cancel();
              ask.setHand("move");
            }}
          >
            {ask.hand() === "units" ? say().finish : say().cancel}
          </button>
        </div>
      </Show>
      <Show when={ask.hand() === "move" && sized()}>
        {(one) => (
          <div class="drawing-bar size-bar floating">
            <label class="width-field">
              {one().kind === "circle" ? say().radius : say().width}
              <input
                type="number"
                min="1"
                max="500000"
                step="any"
                value={Math.round(one().metres * 10) / 10}
                onChange={(event) => resize(event.currentTarget)}
              />
              {say().metres}
            </label>
          </div>
        )}
      </Show>
      <Show when={trouble()}>
        <p class="map-note floating" role="alert">
          {trouble()}
        </p>
      </Show>
      <Show when={bringing()}>
        {(way) => <Bring way={way()} onClose={() => setBringing(null)} onLook={ask.look} />}
      </Show>
    </>
  );
}

function Tool(props: {
  icon: IconNode;
  title: string;
  name: string;
  pressed?: boolean;
  disabled?: boolean;
  onClick: () => void;
}) {
  return (
    <button
      type="button"
      class="icon-button tool"
      data-tool={props.name}
      title={props.title}
      aria-label={props.title}
      aria-pressed={props.pressed}
      disabled={props.disabled}
      onClick={() => props.onClick()}
    >
      <Icon node={props.icon} size={20} />
    </button>
  );
}
