/** Parts of the admin page: asking, fields, a secret that is shown once. */
import { createSignal, createUniqueId, For, type JSX } from "solid-js";
import { ask, type Refusal } from "../api/session";
import type { Lang } from "../state/hash";
import type { AdminWords } from "./words";

/** Ask, and go to the login page when the session is over. */
export async function mine<T>(method: string, address: string, body?: unknown) {
  const found = await ask<T>(method, address, body);
  if (found.refusal?.code === "login_needed") location.replace("/login?next=%2Fadmin");
  return found;
}

/** The server's reason: in the reader's language, with its own words where they name a place. */
export function said(words: AdminWords, refusal: Refusal): string {
  const known = words.errors as Record<string, string>;
  const text = known[refusal.code] ?? words.errors.other;
  return /[:：]\s*$/.test(text) ? text + refusal.message : text;
}

export function clock(lang: Lang, text: string): string {
  return new Date(text).toLocaleString(lang === "zh" ? "zh-CN" : "en-GB");
}

interface LineProps {
  label: string;
  value: string;
  onInput: (value: string) => void;
  note?: string;
  required?: boolean;
  longest?: number;
  type?: "text" | "number";
}

export function Line(props: LineProps) {
  const id = createUniqueId();
  return (
    <div class="field">
      <label for={id}>{props.label}</label>
      <span class="field-box">
        <input
          id={id}
          type={props.type ?? "text"}
          required={props.required}
          value={props.value}
          maxLength={props.longest ?? 64}
          autocomplete="off"
          autocapitalize="none"
          spellcheck={false}
          aria-describedby={props.note ? `${id}-note` : undefined}
          onInput={(event) => props.onInput(event.currentTarget.value)}
        />
      </span>
      {props.note && (
        <p class="note" id={`${id}-note`}>
          {props.note}
        </p>
      )}
    </div>
  );
}

interface ChoiceProps {
  label: string;
  value: string;
  onInput: (value: string) => void;
  of: [string, string][];
}

export function Choice(props: ChoiceProps) {
  const id = createUniqueId();
  return (
    <div class="field">
      <label for={id}>{props.label}</label>
      <span class="field-box">
        <select id={id} onInput={(event) => props.onInput(event.currentTarget.value)}>
          <For each={props.of}>
            {([key, name]) => (
              <option value={key} selected={key === props.value}>
                {name}
              </option>
            )}
          </For>
        </select>
      </span>
    </div>
  );
}

interface OnceProps {
  words: AdminWords;
  label: string;
  secret: string;
  children?: JSX.Element;
  onClose: () => void;
}

/** Something that is shown this once. */
export function Once(props: OnceProps) {
  const [copied, setCopied] = createSignal(false);
  const copy = async () => {
    await navigator.clipboard.writeText(props.secret);
    setCopied(true);
  };
  return (
    <div class="once" role="status">
      <p>{props.label}</p>
      <code>{props.secret}</code>
      {props.children}
      <div class="ways">
        <button type="button" class="button" onClick={copy}>
          {copied() ? props.words.copied : props.words.copy}
        </button>
        <button type="button" class="button" onClick={props.onClose}>
          {props.words.close}
        </button>
      </div>
    </div>
  );
}
