/** Small parts of the border page's panels. */
import { ChevronLeft, X } from "lucide";
import { type JSX, Show } from "solid-js";
import type { Failure } from "../api/client";
import { Icon } from "../command/icon";
import { LanguageSwitch } from "../command/pages.view";
import { clock, moment } from "../state/times";
import { useBorder } from "./model";

/** Head of what is open: the way back, its title, and what stands at the right. */
export function Head(props: { title: string; children?: JSX.Element }) {
  const border = useBorder();
  return (
    <header class="open-head">
      <Show
        when={border.narrow()}
        fallback={
          <>
            <h2>{props.title}</h2>
            <span class="end open-head-end">{props.children}</span>
            <button
              type="button"
              class="icon-button"
              title={border.say().close}
              aria-label={border.say().close}
              onClick={border.close}
            >
              <Icon node={X} size={20} />
            </button>
          </>
        }
      >
        <button
          type="button"
          class="icon-button"
          title={border.say().back}
          aria-label={border.say().back}
          onClick={border.close}
        >
          <Icon node={ChevronLeft} size={28} />
        </button>
        <h2>{props.title}</h2>
        <span class="end open-head-end">
          <Show when={props.children} fallback={<LanguageSwitch />}>
            {props.children}
          </Show>
        </span>
      </Show>
    </header>
  );
}

/** The part of a panel that scrolls; by keyboard, too, where there is nothing in it to go to. */
export function Scroll(props: { label: string; children: JSX.Element }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keyboard
    <section class="panel-scroll" tabIndex={0} aria-label={props.label}>
      {props.children}
    </section>
  );
}

/** 22:53 today, 11-21 22:53 on another day. */
export function useTimes() {
  const border = useBorder();
  const zone = () => border.frame.map().time_zone;
  return (iso: string | Date): string => {
    const at = typeof iso === "string" ? new Date(iso) : iso;
    const long = moment(at.toISOString(), zone(), border.now());
    const today = moment(border.now().toISOString(), zone(), border.now());
    return long.slice(0, -5) === today.slice(0, -5) ? clock(at, zone()) : long;
  };
}

/** What the server says is wrong, in words of the page where there are some. */
export function useProblem() {
  const border = useBorder();
  return (message: string, detail: unknown): string => {
    const reason = (detail as { reason?: string } | null)?.reason ?? "";
    return border.say().problems[reason] ?? border.say().failed(message);
  };
}

/** A labelled box with its field, as on the phone's forms. */
export function Field(props: {
  label: string;
  note?: string;
  error?: string;
  children: JSX.Element;
}) {
  return (
    <div class="field-wrap">
      {/* biome-ignore lint/a11y/noLabelWithoutControl: the control is the child */}
      <label class="field">
        <span>{props.label}</span>
        {props.children}
      </label>
      <Show when={props.error}>
        <p class="field-error" role="alert">
          {props.error}
        </p>
      </Show>
      <Show when={props.note}>
        <p class="note">{props.note}</p>
      </Show>
    </div>
  );
}

export function FailureNote(props: { failure: Failure | undefined; retry?: () => void }) {
  const { frame } = useBorder();
  return (
    <Show when={props.failure}>
      {(failure) => (
        <div class="state" role="alert">
          <p>
            {failure().status === 0 || failure().status >= 500
              ? frame.words().failedServer
              : frame.words().failedAnswer(failure().message)}
          </p>
          <Show when={failure().requestId}>
            {(id) => <p class="note">{frame.words().requestId(id())}</p>}
          </Show>
          <Show when={props.retry}>
            <button type="button" class="button" onClick={() => props.retry?.()}>
              {frame.words().retry}
            </button>
          </Show>
        </div>
      )}
    </Show>
  );
}

/** Which side one speaks for, when there are several. */
export function SideChoice(props: {
  sides: readonly string[];
  value: string;
  onChoose: (side: string) => void;
}) {
  const border = useBorder();
  return (
    <Show when={props.sides.length > 1}>
      <Field label={border.say().asSide}>
        <select value={props.value} onChange={(event) => props.onChoose(event.currentTarget.value)}>
          {props.sides.map((one) => (
            <option value={one}>{border.sideName(one)}</option>
          ))}
        </select>
      </Field>
    </Show>
  );
}
