/** The feedback form: three big answers, what was done, how many, a note, photos, and a place if wanted. */
import { Camera, Check, ChevronLeft, Minus, Plus, Upload, X } from "lucide";
import { createEffect, createSignal, For, onCleanup, onMount, Show } from "solid-js";
import { createStore, unwrap } from "solid-js/store";
import type { AnswerWord, Position } from "../api/tasks";
import { Icon } from "../command/icon";
import { useBoard } from "./board";
import { photo, step, whereAmI } from "./doing";
import { type Draft, dropDraft, EMPTY, MOST_PHOTOS, readDraft, taken, writeDraft } from "./draft";
import { offersOf } from "./measures";
import type { Shown } from "./steps";
import { SwitchRow } from "./switch.view";

const ANSWERS: readonly AnswerWord[] = ["confirmed", "unclear", "not_confirmed"];
const MOST = 9999;

export function Feedback(props: { task: Shown; onBack: () => void; onDone: () => void }) {
  const board = useBoard();
  const { say } = board;
  const [draft, setDraft] = createStore<Draft>({ ...EMPTY });
  const [ready, setReady] = createSignal(false);
  const [wrong, setWrong] = createSignal("");
  const [busy, setBusy] = createSignal(false);
  const change = (part: Partial<Draft>) => {
    setDraft(part);
    setWrong("");
    void writeDraft(board, props.task, { ...unwrap(draft) });
  };
  onMount(async () => {
    setDraft(await readDraft(board, props.task));
    setReady(true);
  });

  const toggle = (measure: string) =>
    change({
      measures: draft.measures.includes(measure)
        ? draft.measures.filter((one) => one !== measure)
        : [...draft.measures, measure],
    });
  const more = (n: number) => change({ count: Math.min(MOST, Math.max(0, draft.count + n)) });
  const add = async (files: FileList | null) => {
    const got = await taken([...(files ?? [])], MOST_PHOTOS - draft.photos.length);
    change({ photos: [...draft.photos, ...got.photos] });
    if (got.bad) setWrong(say().photoBad);
    else if (got.many) setWrong(say().photoMany(MOST_PHOTOS));
  };
  const submit = async (event: Event) => {
    event.preventDefault();
    const { answer } = draft;
    if (answer === "") {
      setWrong(say().needAnswer);
      return;
    }
    setBusy(true);
    let position: Position | undefined;
    if (draft.position) position = await whereAmI().catch(() => undefined);
    const form = {
      answer,
      measures: [...draft.measures],
      ...(draft.count > 0 ? { count: draft.count } : {}),
      note: draft.note.trim(),
    };
    // everything is on the disk before the form is left; the photos follow their feedback
    const task = props.task;
    const photos = [...unwrap(draft).photos];
    const said = step(board, task, "feedback", position ? { form, position } : { form });
    const shots = photos.map((one) => photo(board, task, one));
    await Promise.all([said, ...shots]);
    await dropDraft(board, task);
    props.onDone();
  };
  return (
    <form class="feedback" onSubmit={submit} data-ready={ready()}>
      <header class="sheet-head">
        <button type="button" class="back" aria-label={say().back} onClick={props.onBack}>
          <Icon node={ChevronLeft} size={28} />
        </button>
        <h2>{say().feedback}</h2>
        <span class="sheet-number">{props.task.name}</span>
      </header>
      <div class="sheet-scroll form-body">
        <fieldset class="question">
          <legend>{say().question}</legend>
          <div class="answers">
            <For each={ANSWERS}>
              {(one) => (
                <button
                  type="button"
                  class="answer"
                  data-answer={one}
                  aria-pressed={draft.answer === one}
                  onClick={() => change({ answer: one })}
                >
                  {say().answers[one]}
                </button>
              )}
            </For>
          </div>
        </fieldset>
        <fieldset class="question">
          <legend>{say().done}</legend>
          <div class="chips">
            <For each={offersOf(props.task)}>
              {(offer) => (
                <button
                  type="button"
                  class="measure"
                  data-measure={offer.zh}
                  aria-pressed={draft.measures.includes(offer.zh)}
                  onClick={() => toggle(offer.zh)}
                >
                  <Show when={draft.measures.includes(offer.zh)}>
                    <Icon node={Check} size={20} />
                  </Show>
                  {board.both(offer)}
                </button>
              )}
            </For>
          </div>
        </fieldset>
        <fieldset class="stepper" aria-label={say().count}>
          <span>
            <small>{say().count}</small>
            <output>{draft.count}</output>
          </span>
          <button
            type="button"
            aria-label={say().less}
            disabled={draft.count === 0}
            onClick={() => more(-1)}
          >
            <Icon node={Minus} size={20} />
          </button>
          <button type="button" aria-label={say().more} onClick={() => more(1)}>
            <Icon node={Plus} size={20} />
          </button>
        </fieldset>
        <label class="note-field">
          <small>{say().note}</small>
          <textarea
            rows={2}
            maxLength={500}
            value={draft.note}
            onInput={(event) => change({ note: event.currentTarget.value })}
          />
        </label>
        <section class="question">
          <h3>{say().photos}</h3>
          <div class="photos">
            <For each={draft.photos}>
              {(one, index) => (
                <Shot
                  blob={one}
                  n={index() + 1}
                  onRemove={() =>
                    change({ photos: draft.photos.filter((_, at) => at !== index()) })
                  }
                />
              )}
            </For>
            <Show when={draft.photos.length < MOST_PHOTOS}>
              <label class="shot shot-add">
                <input
                  class="hidden"
                  type="file"
                  accept="image/*"
                  multiple
                  aria-label={say().addPhoto}
                  onChange={(event) => {
                    const box = event.currentTarget;
                    void add(box.files).then(() => {
                      box.value = "";
                    });
                  }}
                />
                <Icon node={Camera} size={20} />
              </label>
            </Show>
          </div>
          <p class="dim">{say().photosOnly}</p>
        </section>
        <SwitchRow
          label={say().position}
          hint={say().optional}
          on={draft.position}
          onChange={(on) => change({ position: on })}
        />
      </div>
      <footer class="acts">
        <Show when={wrong()}>
          <p class="wrong" role="alert">
            {wrong()}
          </p>
        </Show>
        <div class="act-row">
          <button type="submit" class="act act-main" disabled={busy() || !ready()}>
            <Icon node={Upload} size={20} />
            {board.away() ? say().submitLater : say().submit}
          </button>
        </div>
      </footer>
    </form>
  );
}

function Shot(props: { blob: Blob; n: number; onRemove: () => void }) {
  const board = useBoard();
  const [address, setAddress] = createSignal("");
  createEffect(() => {
    const made = URL.createObjectURL(props.blob);
    setAddress(made);
    onCleanup(() => URL.revokeObjectURL(made));
  });
  return (
    <span class="shot">
      <img src={address()} alt={board.say().photo(props.n)} />
      <button type="button" aria-label={board.say().removePhoto(props.n)} onClick={props.onRemove}>
        <Icon node={X} />
      </button>
    </span>
  );
}
