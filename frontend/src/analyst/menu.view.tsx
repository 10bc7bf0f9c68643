/** A button of the question bar with what it opens; Escape or a click outside closes it. */
import { ChevronDown } from "lucide";
import { createSignal, createUniqueId, type JSX, onCleanup, Show } from "solid-js";
import { Icon } from "../command/icon";
import { within } from "../state/narrow";

export function Menu(props: {
  label: string;
  value: JSX.Element;
  name: string;
  end?: boolean;
  children: (close: () => void) => JSX.Element;
}) {
  const [open, setOpen] = createSignal(false);
  const id = createUniqueId();
  let box!: HTMLDivElement;
  let button!: HTMLButtonElement;
  const outside = (event: Event) => {
    if (open() && event.target instanceof Node && !box.contains(event.target)) setOpen(false);
  };
  const leave = (event: KeyboardEvent) => {
    if (event.key !== "Escape" || !open()) return;
    event.stopPropagation();
    setOpen(false);
    button.focus();
  };
  // on the page: a button that was pressed and is disabled now has no focus any more
  addEventListener("pointerdown", outside, true);
  addEventListener("keydown", leave, true);
  onCleanup(() => {
    removeEventListener("pointerdown", outside, true);
    removeEventListener("keydown", leave, true);
  });
  /** On the page, not in the bar: the bar scrolls sideways on a phone and would cut it off. */
  const place = () => {
    const { left, right, bottom } = button.getBoundingClientRect();
    if (innerWidth < 720) return { top: `${bottom + 6}px`, left: "8px", right: "8px" };
    const px = (length: number) => `${within(button, length)}px`;
    return props.end
      ? { top: px(bottom + 6), right: px(Math.max(8, innerWidth - right)) }
      : { top: px(bottom + 6), left: px(Math.max(8, Math.min(left, innerWidth - 340))) };
  };
  return (
    <div ref={box} class="menu">
      <button
        ref={button}
        type="button"
        class="menu-button"
        data-menu={props.name}
        aria-expanded={open()}
        aria-controls={id}
        onClick={() => setOpen(!open())}
      >
        <span class="menu-label">{props.label}</span>
        <b>{props.value}</b>
        <Icon node={ChevronDown} />
      </button>
      <Show when={open()}>
        <div id={id} class="menu-box floating" style={place()}>
          {props.children(() => setOpen(false))}
        </div>
      </Show>
    </div>
  );
}
