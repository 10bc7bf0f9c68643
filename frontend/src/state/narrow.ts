/** Whether the window is as narrow as a phone; follows it while its owner lives. */
import { type Accessor, createSignal, onCleanup } from "solid-js";

const NARROW = "(max-width: 719px)";

export function createNarrow(): Accessor<boolean> {
  const media = matchMedia(NARROW);
  const [narrow, setNarrow] = createSignal(media.matches);
  const turned = () => setNarrow(media.matches);
  media.addEventListener("change", turned);
  onCleanup(() => media.removeEventListener("change", turned));
  return narrow;
}
