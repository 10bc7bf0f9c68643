/** Title of a kind in the present language; its id when the scene no longer has it. */
import type { Model } from "./model";

export function kindName(model: Model, id: string): string {
  const found = model.map().kinds.find((one) => one.id === id);
  return found ? model.title(found.title) : id;
}
