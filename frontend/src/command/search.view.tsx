/** Search by name or code: a combo box with a list, all by keyboard. `/` brings the focus here. */
import { Search } from "lucide";
import {
  createEffect,
  createSignal,
  createUniqueId,
  For,
  on,
  onCleanup,
  onMount,
  Show,
} from "solid-js";
import { createAnswer } from "../api/answer";
import { api } from "../api/client";
import type { SearchHit } from "../api/models";
import { useFrame } from "./frame";
import { Icon } from "./icon";

const PAUSE_MS = 150;

export function SearchBox(props: { onFound: (code: string) => void; label?: string }) {
  const model = useFrame();
  const words = model.words;
  const list = createUniqueId();
  const [text, setText] = createSignal("");
  const [asked, setAsked] = createSignal("");
  const [open, setOpen] = createSignal(false);
  const [at, setAt] = createSignal(0);
  let box!: HTMLInputElement;

  createEffect(
    on(text, (now) => {
      const timer = setTimeout(() => setAsked(now.trim()), PAUSE_MS);
      onCleanup(() => clearTimeout(timer));
    }),
  );
  const answer = createAnswer(
    () => (asked() === "" ? null : { pack: model.map().pack, q: asked(), run: model.map().run }),
    (question, signal) => api.search(question.pack, question.q, signal),
  );
  const hits = () => (asked() === "" ? [] : (answer.data()?.hits ?? []));
  createEffect(on(hits, () => setAt(0)));

  const choose = (hit: SearchHit | undefined) => {
    if (!hit) return;
    props.onFound(hit.unit.code);
    setText("");
    setAsked("");
    setOpen(false);
    box.blur();
  };
  const keys = (event: KeyboardEvent) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const n = hits().length;
      if (n > 0) setAt((at() + (event.key === "ArrowDown" ? 1 : n - 1)) % n);
      event.preventDefault();
    } else if (event.key === "Enter") {
      choose(hits()[at()]);
    } else if (event.key === "Escape") {
      setText("");
      setAsked("");
      box.blur();
    }
  };
  const slash = (event: KeyboardEvent) => {
    const inField = event.target instanceof HTMLElement && event.target.matches("input, textarea");
    if (event.key === "/" && !inField && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      box.focus();
    }
  };
  onMount(() => addEventListener("keydown", slash));
  onCleanup(() => removeEventListener("keydown", slash));

  return (
    <div class="search">
      <Icon node={Search} />
      <input
        ref={box}
        type="text"
        role="combobox"
        autocomplete="off"
        spellcheck={false}
        placeholder={props.label ?? words().search}
        aria-label={props.label ?? words().searchLabel}
        aria-expanded={open() && asked() !== ""}
        aria-controls={list}
        aria-autocomplete="list"
        aria-activedescendant={open() && hits().length > 0 ? `${list}-${at()}` : undefined}
        value={text()}
        onInput={(event) => setText(event.currentTarget.value)}
        onFocus={() => setOpen(true)}
        onBlur={() => setTimeout(() => document.activeElement !== box && setOpen(false), 120)}
        onKeyDown={keys}
      />
      <kbd>/</kbd>
      <Show when={open() && asked() !== ""}>
        <div class="search-list floating">
          <div id={list} role="listbox" aria-label={words().searchLabel}>
            <For each={hits()}>
              {(hit, index) => (
                // biome-ignore lint/a11y/useKeyWithClickEvents: the keys are the combo box's
                <div
                  id={`${list}-${index()}`}
                  role="option"
                  tabIndex={-1}
                  aria-selected={index() === at()}
                  class="search-hit"
                  onPointerDown={(event) => event.preventDefault()}
                  onClick={() => choose(hit)}
                >
                  <b>{model.nameOf(hit.unit)}</b>
                  <span>{hit.path}</span>
                  <code>{hit.unit.code}</code>
                </div>
              )}
            </For>
          </div>
          <Show when={answer.fresh() && hits().length === 0}>
            <p class="search-none">
              <b>{words().searchNone(asked())}</b>
              <span>{words().searchHint}</span>
            </p>
          </Show>
          <Show when={answer.failure()}>
            <p class="search-none">
              <b>{words().failed(words().failedSearch)}</b>
              <button type="button" class="button" onClick={answer.retry}>
                {words().retry}
              </button>
            </p>
          </Show>
        </div>
      </Show>
      <span class="hidden" role="status">
        {open() && hits().length > 0 ? words().searchCount(hits().length) : ""}
      </span>
    </div>
  );
}
