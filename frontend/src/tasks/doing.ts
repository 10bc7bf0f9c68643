/** Acts on a task, written down and sent when there is a signal. */
import type { Form, Position, StepDraft, StepTo } from "../api/tasks";
import { taskAddresses } from "../api/tasks";
import type { Action } from "../offline/queue";
import { type Board, ofTask } from "./board";
import type { Shown } from "./steps";

export interface Said {
  note?: string;
  position?: Position;
  form?: Form;
}

/** One step, on the disk when this settles; its key is made here, once, and goes with every try. */
export function step(board: Board, task: Shown, to: StepTo, said: Said = {}): Promise<Action> {
  const body: StepDraft = {
    to,
    at: new Date().toISOString(),
    key: crypto.randomUUID(),
    ...(said.note ? { note: said.note } : {}),
    ...(said.position ? { position: said.position } : {}),
    ...(said.form ? { form: said.form } : {}),
  };
  return board.outbox.write({
    method: "POST",
    address: taskAddresses.steps(task.id),
    title: `${board.say().steps[to] ?? to} · ${board.title(task)}`,
    of: ofTask(task.id, to),
    body,
  });
}

/** The task goes to another desk and begins anew there. */
export function handover(board: Board, task: Shown, desk: number, note: string): Promise<Action> {
  return board.outbox.write({
    method: "POST",
    address: taskAddresses.handover(task.id),
    title: `${board.say().steps.handed_over} · ${board.title(task)}`,
    of: ofTask(task.id, "handed_over"),
    body: { desk, key: crypto.randomUUID(), ...(note ? { note } : {}) },
  });
}

/** The task goes into another, which answers for both. */
export function merge(board: Board, task: Shown, into: number, note: string): Promise<Action> {
  return board.outbox.write({
    method: "POST",
    address: taskAddresses.merge(task.id),
    title: `${board.say().steps.merged} · ${board.title(task)}`,
    of: ofTask(task.id, "merged"),
    body: { into, key: crypto.randomUUID(), ...(note ? { note } : {}) },
  });
}

export function photo(board: Board, task: Shown, file: Blob): Promise<Action> {
  return board.outbox.write({
    method: "POST",
    address: taskAddresses.photos(task.id),
    title: `${board.say().items.photo} · ${board.title(task)}`,
    of: ofTask(task.id, "photo"),
    form: [
      ["key", crypto.randomUUID()],
      ["photo", file, "photo.jpg"],
    ],
  });
}

const PATIENCE_MS = 15_000;

/** Where this device is; rejects when it cannot or may not tell. */
export function whereAmI(): Promise<Position> {
  return new Promise((resolve, reject) => {
    if (!("geolocation" in navigator)) {
      reject(new Error("no geolocation"));
      return;
    }
    navigator.geolocation.getCurrentPosition(
      ({ coords }) =>
        resolve({ lon: coords.longitude, lat: coords.latitude, accuracy_m: coords.accuracy }),
      reject,
      { enableHighAccuracy: true, timeout: PATIENCE_MS, maximumAge: 60_000 },
    );
  });
}
