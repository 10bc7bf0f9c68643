/** Saved areas with their purpose, scope, last day and notes. */
import { createSignal, For, Show } from "solid-js";
import { type Note, type SavedArea, savedAreas } from "../api/analysis";
import { createAnswer } from "../api/answer";
import { Failure } from "../api/client";
import { useFrame } from "../command/frame";
import { Empty, Settled } from "../command/states.view";
import { moment } from "../state/times";
import { plain, useAsk } from "./ask";
import { shapeOf } from "./bodies";

export function SavedPanel() {
  const ask = useAsk();
  const say = ask.say;
  const { map } = useFrame();
  const list = createAnswer(
    () => ({ pack: map().pack, turn: ask.savedTurn() }),
    ({ pack }, signal) => savedAreas.list(pack, signal),
  );
  // asked again after every change: what is there stays on the screen meanwhile
  const kept = { ...list, slow: () => list.slow() && list.data() === undefined };
  return (
    <div class="answer">
      <Settled answer={kept} what={say().tabs.saved as string} rows={5}>
        {(data) => (
          <Show
            when={data().length > 0}
            fallback={
              <Empty title={say().noSaved}>
                <p>{say().noSavedText}</p>
              </Empty>
            }
          >
            <ul class="cards">
              <For each={data().map((one) => one.id)}>
                {(id) => {
                  const found = () => data().find((one) => one.id === id);
                  return <Show when={found()}>{(one) => <SavedCard one={one()} />}</Show>;
                }}
              </For>
            </ul>
          </Show>
        )}
      </Settled>
    </div>
  );
}

function SavedCard(props: { one: SavedArea }) {
  const ask = useAsk();
  const say = ask.say;
  const { map } = useFrame();
  const [open, setOpen] = createSignal(false);
  const [trouble, setTrouble] = createSignal("");
  const show = async () => {
    try {
      const shape = await shapeOf(map().pack, props.one.area);
      const areas = plain(ask.view.state.areas);
      ask.put([...areas, { name: props.one.name.replaceAll("*", " "), shape }], areas.length);
      ask.setHand("move");
      ask.look();
    } catch (error) {
      setTrouble(error instanceof Failure ? error.message : String(error));
    }
  };
  const remove = async () => {
    try {
      await savedAreas.remove(props.one.id);
      ask.savedChanged();
    } catch (error) {
      setTrouble(error instanceof Failure ? error.message : String(error));
    }
  };
  return (
    <li class="card" data-saved={props.one.id}>
      <h3>{props.one.name}</h3>
      <p>{props.one.purpose}</p>
      <p class="note">
        {say().scopes[props.one.scope]} · {say().until} {props.one.expires_on}
        <Show when={!props.one.mine}> · {say().notMine}</Show>
      </p>
      <div class="card-acts">
        <button type="button" class="button" onClick={show}>
          {say().showOnMap}
        </button>
        <button
          type="button"
          class="button"
          aria-expanded={open()}
          onClick={() => setOpen(!open())}
        >
          {say().notes} {props.one.notes > 0 ? props.one.notes : ""}
        </button>
        <Show when={props.one.mine}>
          <button type="button" class="button" onClick={remove}>
            {say().removeSaved}
          </button>
        </Show>
      </div>
      <Show when={trouble()}>
        <p role="alert">{trouble()}</p>
      </Show>
      <Show when={open()}>
        <Notes id={props.one.id} />
      </Show>
    </li>
  );
}

function Notes(props: { id: number }) {
  const ask = useAsk();
  const say = ask.say;
  const { map } = useFrame();
  const [turn, setTurn] = createSignal(0);
  const [trouble, setTrouble] = createSignal("");
  const [text, setText] = createSignal("");
  const notes = createAnswer(
    () => ({ id: props.id, turn: turn() }),
    ({ id }, signal) => savedAreas.notes(id, signal),
  );
  const add = async (event: SubmitEvent) => {
    event.preventDefault();
    if (text().trim() === "") return;
    try {
      await savedAreas.note(props.id, text().trim());
      setText("");
      setTrouble("");
      setTurn(turn() + 1);
      ask.savedChanged();
    } catch (error) {
      setTrouble(error instanceof Failure ? error.message : String(error));
    }
  };
  return (
    <form class="notes" onSubmit={add}>
      <For each={notes.data() ?? ([] as Note[])}>
        {(one) => (
          <p>
            {one.text} <small>{moment(one.created_at, map().time_zone, new Date())}</small>
          </p>
        )}
      </For>
      <textarea
        rows="2"
        maxlength="2000"
        aria-label={say().newNote}
        placeholder={say().newNote}
        value={text()}
        onInput={(event) => setText(event.currentTarget.value)}
      />
      <Show when={trouble()}>
        <p role="alert">{trouble()}</p>
      </Show>
      <button type="submit" class="button">
        {say().addNote}
      </button>
    </form>
  );
}
