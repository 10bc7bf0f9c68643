/** Title of a kind in the present language; its id when the scene no longer has it. */
import type { Alert } from "../api/tasks";
import type { Model } from "./model";

export function kindName(model: Model, id: string): string {
  const found = model.map().kinds.find((one) => one.id === id);
  return found ? model.title(found.title) : id;
}

/** What an alert is about: the kind of the map, or the indicator as its scene names it. */
export function alertName(model: Model, one: Pick<Alert, "kind" | "title">): string {
  return one.title ? model.title(one.title) : kindName(model, one.kind);
}
