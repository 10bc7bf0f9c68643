/** Parts of the pages about accounts: language, a field, a password with its eye, what went wrong. */
import { createSignal, createUniqueId, Show } from "solid-js";
import type { Refusal } from "../api/session";
import type { Lang } from "../state/hash";
import type { Words } from "./words";

export function Language(props: { name: string; value: Lang; choose: (lang: Lang) => void }) {
  return (
    <fieldset class="language" aria-label={props.name}>
      <button
        type="button"
        lang="zh-CN"
        aria-pressed={props.value === "zh"}
        onClick={() => props.choose("zh")}
      >
        中
      </button>
      <span aria-hidden="true">/</span>
      <button
        type="button"
        lang="en"
        aria-pressed={props.value === "en"}
        onClick={() => props.choose("en")}
      >
        EN
      </button>
    </fieldset>
  );
}

interface FieldProps {
  label: string;
  value: string;
  onInput: (value: string) => void;
  autocomplete: string;
  note?: string;
  type?: "text" | "password";
  focus?: boolean;
  inputmode?: "numeric" | "text";
  end?: { name: string; pressed: boolean; act: () => void };
}

export function Field(props: FieldProps) {
  const id = createUniqueId();
  return (
    <div class="field">
      <label for={id}>{props.label}</label>
      <span class="field-box">
        <input
          id={id}
          required
          type={props.type ?? "text"}
          value={props.value}
          maxLength={props.type === "password" ? 512 : 64}
          autocomplete={props.autocomplete as "off"}
          autocapitalize="none"
          spellcheck={false}
          inputmode={props.inputmode ?? "text"}
          aria-describedby={props.note ? `${id}-note` : undefined}
          ref={(box) => {
            if (props.focus) queueMicrotask(() => box.focus());
          }}
          onInput={(event) => props.onInput(event.currentTarget.value)}
        />
        <Show when={props.end}>
          {(end) => (
            <button
              type="button"
              class="field-end"
              aria-pressed={end().pressed}
              onClick={end().act}
            >
              {end().name}
            </button>
          )}
        </Show>
      </span>
      <Show when={props.note}>
        <p class="note" id={`${id}-note`}>
          {props.note}
        </p>
      </Show>
    </div>
  );
}

export function Password(props: Omit<FieldProps, "type" | "end"> & { words: Words }) {
  const [open, setOpen] = createSignal(false);
  return (
    <Field
      {...props}
      type={open() ? "text" : "password"}
      end={{
        name: open() ? props.words.hide : props.words.show,
        pressed: open(),
        act: () => setOpen(!open()),
      }}
    />
  );
}

/** The server's reason in the reader's language. */
export function said(words: Words, refusal: Refusal): string {
  const known = words.errors as Record<string, string>;
  const text = known[refusal.code] ?? words.errors.other;
  return refusal.seconds > 0 && refusal.code === "too_many" ? words.wait(refusal.seconds) : text;
}

export function Problem(props: { text: string | undefined }) {
  return (
    <p class="problem" role="alert">
      {props.text}
    </p>
  );
}
