/** How much room the window has; follows it while its owner lives. */
import { type Accessor, createSignal, onCleanup } from "solid-js";

const NARROW = "(max-width: 719px)";
const LOW = "(max-height: 780px)";

/** Whether the window is as narrow as a phone. */
export function createNarrow(): Accessor<boolean> {
  return createMatch(NARROW);
}

/** Whether a phone's window is so low that a map needs every row. */
export function createLow(): Accessor<boolean> {
  return createMatch(`${NARROW} and ${LOW}`);
}

function createMatch(query: string): Accessor<boolean> {
  const media = matchMedia(query);
  const [matches, setMatches] = createSignal(media.matches);
  const turned = () => setMatches(media.matches);
  media.addEventListener("change", turned);
  onCleanup(() => media.removeEventListener("change", turned));
  return matches;
}

const BIG: readonly (readonly [media: string, scale: number])[] = [
  ["(min-width: 3400px) and (min-height: 1700px)", 1.6],
  ["(min-width: 2560px) and (min-height: 1300px)", 1.25],
];

/** By how much a map's pens and letters are enlarged with the bars and panels around it (`--big` of desk.css). */
export function createBig(): Accessor<number> {
  const read = () => BIG.find(([media]) => matchMedia(media).matches)?.[1] ?? 1;
  const [big, setBig] = createSignal(read());
  const resized = () => setBig(read());
  addEventListener("resize", resized);
  onCleanup(() => removeEventListener("resize", resized));
  return big;
}

/** A length of the screen as one inside `inside` says it: what an enlarged bar holds is measured in its own pixels. */
export function within(inside: Element, px: number): number {
  return px / ((inside as Element & { currentCSSZoom?: number }).currentCSSZoom ?? 1);
}
