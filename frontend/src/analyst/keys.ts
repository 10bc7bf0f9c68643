/** Keys of the page: tools by their letters, undo and redo, Escape lays the tool down. */
import type { Ask, Hand } from "./ask";

const TOOLS: Record<string, Hand> = {
  v: "move",
  p: "polygon",
  r: "rectangle",
  c: "circle",
  l: "corridor",
  f: "freehand",
  u: "units",
};

/** Letter of a tool, for its title. */
export function keyOf(hand: Hand): string {
  return (
    Object.entries(TOOLS)
      .find(([, one]) => one === hand)?.[0]
      ?.toUpperCase() ?? ""
  );
}

/** Undo and redo. */
function history(event: KeyboardEvent, key: string, ask: Ask): void {
  if (key !== "z" && key !== "y") return;
  event.preventDefault();
  if (key === "y" || event.shiftKey) ask.stepForward();
  else ask.stepBack();
}

export function attachKeys(ask: Ask): () => void {
  const pressed = (event: KeyboardEvent) => {
    const { target } = event;
    if (target instanceof HTMLElement && target.matches("input, textarea, select")) return;
    const key = event.key.toLowerCase();
    if (event.altKey) return;
    if (event.ctrlKey || event.metaKey) {
      history(event, key, ask);
      return;
    }
    const hand = TOOLS[key];
    if (hand) ask.setHand(hand);
    else if (key === "escape" && ask.corners() === 0) ask.setHand("move");
    // corners are deleted by terra-draw; a whole area only with shift
    else if (key === "delete" && event.shiftKey) ask.remove(ask.view.state.active);
  };
  addEventListener("keydown", pressed);
  return () => removeEventListener("keydown", pressed);
}
