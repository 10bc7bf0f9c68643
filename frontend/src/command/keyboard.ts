/** Keys of LOOK 7: arrows to the neighbouring unit, Enter drills, Backspace goes up, `[` `]` the period. */
import type { Accessor } from "solid-js";
import type { MapHandle } from "./map.view";
import type { Model } from "./model";
import { type Direction, neighbour, type Place } from "./neighbours";
import { goTo } from "./timeline.view";

interface Doors {
  model: Model;
  handle: Accessor<MapHandle | undefined>;
  select: (code: string) => void;
  drill: () => void;
  up: () => void;
}

const ARROWS: Record<string, Direction> = {
  ArrowUp: "up",
  ArrowDown: "down",
  ArrowLeft: "left",
  ArrowRight: "right",
};

export function attachKeys(doors: Doors): () => void {
  const { model } = doors;

  const step = (direction: Direction) => {
    const map = doors.handle();
    if (!map) return;
    const places = map.places();
    const own = places.find((one) => one.code === model.view.state.unit);
    const centre = map.map.getCenter();
    const next = own
      ? neighbour(places, own.point, direction)
      : nearest(places, [centre.lng, centre.lat]);
    if (!next) return;
    doors.select(next.code);
    const at = map.project(next.point);
    const { clientWidth: w, clientHeight: h } = map.map.getContainer();
    if (at.x < 60 || at.y < 60 || at.x > w - 60 || at.y > h - 60) {
      map.map.panTo([next.point[0], next.point[1]]);
    }
  };

  /** Keys that work everywhere but in fields. */
  const anywhere: Record<string, () => void> = {
    "[": () => goTo(model, model.ord() - 1, "replace"),
    "]": () => goTo(model, model.ord() + 1, "replace"),
    Escape: () => {
      if (model.view.state.table) model.view.go({ table: false });
      else if (model.view.state.unit !== "") model.view.go({ unit: "" });
    },
  };
  /** Keys that work while the map has the focus, or nothing has. */
  const onMap: Record<string, () => void> = {
    Enter: doors.drill,
    Backspace: doors.up,
    "+": () => doors.handle()?.map.zoomIn(),
    "=": () => doors.handle()?.map.zoomIn(),
    "-": () => doors.handle()?.map.zoomOut(),
  };
  for (const [key, direction] of Object.entries(ARROWS)) onMap[key] = () => step(direction);

  const keys = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target instanceof HTMLElement ? event.target : document.body;
    if (target.matches("input:not([type=range]), textarea, select")) return;
    const overMap = target === document.body || target.closest(".map-box") !== null;
    const act = anywhere[event.key] ?? (overMap ? onMap[event.key] : undefined);
    if (!act) return;
    event.preventDefault();
    act();
  };
  addEventListener("keydown", keys);
  return () => removeEventListener("keydown", keys);
}

function nearest(places: readonly Place[], point: readonly [number, number]): Place | null {
  let best: Place | null = null;
  let least = Number.POSITIVE_INFINITY;
  for (const place of places) {
    const d = Math.hypot(place.point[0] - point[0], place.point[1] - point[1]);
    if (d < least) {
      least = d;
      best = place;
    }
  }
  return best;
}
