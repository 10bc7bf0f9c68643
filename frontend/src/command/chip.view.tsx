/** A class with its name: never a hue alone. */
import type { Colour } from "../api/models";
import { useFrame } from "./frame";

export function Chip(props: { colour: Colour }) {
  const model = useFrame();
  return <span class={`chip chip-${props.colour}`}>{model.words().colours[props.colour]}</span>;
}

/** A bar of colour beside a name that is written out; the class name is for readers of the page. */
export function Swatch(props: { colour: Colour; wide?: boolean }) {
  const model = useFrame();
  return (
    <span
      class={`swatch swatch-${props.colour}`}
      classList={{ "swatch-wide": props.wide ?? false }}
      role="img"
      aria-label={model.words().colours[props.colour]}
    />
  );
}

/** ▲ ▼ with what it was before. */
export function Was(props: { now: Colour; before: Colour | null }) {
  const model = useFrame();
  const order = ["none", "green", "blue", "yellow", "orange", "red"];
  const step = () =>
    props.before === null || props.before === "none" || props.now === "none"
      ? 0
      : order.indexOf(props.now) - order.indexOf(props.before);
  const sign = () => {
    const n = step();
    if (n === 0) return "";
    return (n > 0 ? "▲" : "▼").repeat(Math.min(2, Math.abs(n)));
  };
  return (
    <span class="was" hidden={step() === 0}>
      <span aria-hidden="true">{sign()}</span>{" "}
      {model
        .words()
        .from(
          model.words().colours[props.before ?? "none"],
          model.words().previousPeriod[model.view.state.period],
        )}
    </span>
  );
}
