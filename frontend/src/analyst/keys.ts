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

export function attachKeys(ask: Ask): () => void {
  const pressed = (event: KeyboardEvent) => {
    const field =
      event.target instanceof HTMLElement && event.target.matches("input, textarea, select");
    if (field || event.altKey) return;
    const key = event.key.toLowerCase();
    if (event.ctrlKey || event.metaKey) {
      if (key !== "z" && key !== "y") return;
      event.preventDefault();
      if (key === "y" || event.shiftKey) ask.stepForward();
      else ask.stepBack();
      return;
    }
    const hand = TOOLS[key];
    if (hand) ask.setHand(hand);
    else if (key === "escape" && ask.corners() === 0 && ask.hand() !== "move") ask.setHand("move");
    else if ((key === "delete" || key === "backspace") && ask.hand() === "move") {
      // corners are deleted by terra-draw; a whole area only by its own key
      if (event.shiftKey) ask.remove(ask.view.state.active);
    }
  };
  addEventListener("keydown", pressed);
  return () => removeEventListener("keydown", pressed);
}
