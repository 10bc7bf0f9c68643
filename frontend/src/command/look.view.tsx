/** For the reader's eyes: theme, set of colours, patterns. Kept in the link and on the device. */
import { Contrast } from "lucide";
import { createSignal, createUniqueId, For, onCleanup, Show } from "solid-js";
import { within } from "../state/narrow";
import { useFrame } from "./frame";
import { Icon } from "./icon";

/** The three choices, as they stand in the display settings and behind the button of the bar. */
export function LookChoices() {
  const { view, words } = useFrame();
  return (
    <>
      <Choice
        label={words().theme}
        options={[
          ["light", words().light],
          ["night", words().night],
        ]}
        value={view.state.theme}
        onChoose={(theme) => view.go({ theme: theme as "light" }, "replace")}
      />
      <Choice
        label={words().palette}
        options={[
          ["standard", words().standard],
          ["stepped", words().stepped],
        ]}
        value={view.state.palette}
        onChoose={(palette) => view.go({ palette: palette as "standard" }, "replace")}
      />
      <label class="check">
        <input
          type="checkbox"
          checked={view.state.pattern}
          onChange={(event) => view.go({ pattern: event.currentTarget.checked }, "replace")}
        />
        {words().pattern}
      </label>
      <p class="note">{words().patternNote}</p>
    </>
  );
}

function Choice(props: {
  label: string;
  options: [string, string][];
  value: string;
  onChoose: (value: string) => void;
}) {
  return (
    <fieldset class="choice">
      <legend>{props.label}</legend>
      <span class="segments">
        <For each={props.options}>
          {([value, name]) => (
            <button
              type="button"
              class="segment"
              aria-pressed={value === props.value}
              onClick={() => props.onChoose(value)}
            >
              {name}
            </button>
          )}
        </For>
      </span>
    </fieldset>
  );
}

/** The button of the bar; Escape or a press elsewhere closes what it opens, Escape gives the focus back. */
export function LookSwitch() {
  const { words } = useFrame();
  const [open, setOpen] = createSignal(false);
  const id = createUniqueId();
  let box!: HTMLSpanElement;
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
  addEventListener("pointerdown", outside, true);
  addEventListener("focusin", outside, true);
  addEventListener("keydown", leave, true);
  onCleanup(() => {
    removeEventListener("pointerdown", outside, true);
    removeEventListener("focusin", outside, true);
    removeEventListener("keydown", leave, true);
  });
  const place = () => {
    const { bottom, right } = button.getBoundingClientRect();
    const px = (length: number) => `${within(button, length)}px`;
    return { top: px(bottom + 6), right: px(Math.max(8, innerWidth - right - 40)) };
  };
  return (
    <span class="look" ref={box}>
      <button
        ref={button}
        type="button"
        title={words().look}
        aria-label={words().look}
        aria-expanded={open()}
        aria-controls={id}
        onClick={() => setOpen(!open())}
      >
        <Icon node={Contrast} />
      </button>
      <Show when={open()}>
        <section id={id} class="look-box floating" style={place()} aria-label={words().look}>
          <LookChoices />
        </section>
      </Show>
    </span>
  );
}
