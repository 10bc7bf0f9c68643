/** The buttons under a task: one black, the rest white; each says what will happen. */
import { Camera, Phone, Upload } from "lucide";
import { createSignal, For, Match, Show, Switch } from "solid-js";
import type { Position, TaskDesk } from "../api/tasks";
import { Icon } from "../command/icon";
import { useBoard } from "./board";
import { handover, merge, step, whereAmI } from "./doing";
import { addToDraft } from "./draft";
import { type Act, acts, BECOMES, mergeTargets, type Shown } from "./steps";
import { SwitchRow } from "./switch.view";

/** Acts that ask for words first. */
type Asking = "decline" | "verify" | "sendBack" | "close" | "handover" | "merge";

export function ActBar(props: { task: Shown; desks: readonly TaskDesk[] }) {
  const board = useBoard();
  const { say, view } = board;
  const [asking, setAsking] = createSignal<Asking | null>(null);
  const [position, setPosition] = createSignal(false);
  const [busy, setBusy] = createSignal(false);
  const offered = () => acts(props.task.state, board.hands());
  const first = () => offered()[0];
  const rest = () => offered().slice(1);
  const words = (act: Act) => (board.away() ? say().later[act] : say().acts[act]);
  const telephone = () =>
    props.desks.find((one) => one.name === props.task.desk)?.office_line ?? undefined;

  const arrive = async () => {
    setBusy(true);
    let found: Position | undefined;
    if (position()) found = await whereAmI().catch(() => undefined);
    await step(board, props.task, "on_site", found ? { position: found } : {});
    setBusy(false);
  };
  const act = async (one: Act) => {
    if (one === "report") view.go({ form: true });
    else if (one === "arrive") await arrive();
    else if (one === "accept") {
      setBusy(true);
      await step(board, props.task, "accepted");
      setBusy(false);
    } else setAsking(one);
  };
  const shoot = async (files: FileList | null) => {
    if (!files || files.length === 0) return;
    await addToDraft(board, props.task, [...files]);
    view.go({ form: true });
  };
  return (
    <Show when={offered().length > 0 || telephone()}>
      <footer class="acts" data-busy={busy()}>
        <Show when={asking()} keyed>
          {(one) => (
            <AskFirst
              task={props.task}
              act={one}
              desks={props.desks}
              onDone={() => setAsking(null)}
            />
          )}
        </Show>
        <Show when={!asking()}>
          <Show when={first() === "arrive"}>
            <SwitchRow
              label={say().position}
              hint={say().optional}
              on={position()}
              onChange={setPosition}
            />
          </Show>
          <div class="act-row">
            <Show when={telephone()}>
              {(number) => (
                <a
                  class={offered().length > 0 ? "act-square" : "act act-call"}
                  href={`tel:${number()}`}
                  title={say().desk}
                  aria-label={`${say().desk} ${number()}`}
                >
                  <Icon node={Phone} size={20} />
                  <Show when={offered().length === 0}>{props.task.desk}</Show>
                </a>
              )}
            </Show>
            <Show when={first() === "report"}>
              <label class="act-square" title={say().addPhoto}>
                <input
                  class="hidden"
                  type="file"
                  accept="image/*"
                  capture="environment"
                  aria-label={say().addPhoto}
                  onChange={(event) => shoot(event.currentTarget.files)}
                />
                <Icon node={Camera} size={20} />
              </label>
            </Show>
            <For each={rest()}>
              {(one) => (
                <button type="button" class="act" disabled={busy()} onClick={() => act(one)}>
                  {say().acts[one]}
                </button>
              )}
            </For>
            <Show when={first()}>
              {(one) => (
                <button
                  type="button"
                  class={one() === "handover" ? "act" : "act act-main"}
                  disabled={busy()}
                  onClick={() => act(one())}
                >
                  <Show when={board.away() && one() !== "report"}>
                    <Icon node={Upload} size={20} />
                  </Show>
                  {words(one())}
                </button>
              )}
            </Show>
          </div>
        </Show>
      </footer>
    </Show>
  );
}

/** Why, or to whom; then it is done. */
function AskFirst(props: {
  task: Shown;
  act: Asking;
  desks: readonly TaskDesk[];
  onDone: () => void;
}) {
  const board = useBoard();
  const { say } = board;
  const [note, setNote] = createSignal("");
  const [desk, setDesk] = createSignal("");
  const [into, setInto] = createSignal("");
  const [wrong, setWrong] = createSignal("");
  const [busy, setBusy] = createSignal(false);
  const title = () =>
    ({
      decline: say().declineTitle,
      verify: say().verifyTitle,
      sendBack: say().sendBackTitle,
      close: say().closeTitle,
      handover: say().handoverTitle,
      merge: say().mergeTitle,
    })[props.act];
  const label = () =>
    ({
      decline: say().declineWhy,
      verify: say().verifyWhy,
      sendBack: say().sendBackWhy,
      close: say().closeWhy,
      handover: say().declineWhy,
      merge: say().mergeWhy,
    })[props.act];
  const needed = () => props.act === "decline" || props.act === "sendBack";
  const targets = () => props.desks.filter((one) => one.name !== props.task.desk);
  const others = () => mergeTargets(props.task, board.tasks() ?? []);
  /** Where there is nothing to choose from, there is nothing to send. */
  const possible = () =>
    props.act === "handover" ? targets().length > 0 : props.act !== "merge" || others().length > 0;

  const go = async (event: Event) => {
    event.preventDefault();
    const text = note().trim();
    if (needed() && text === "") {
      setWrong(say().needNote);
      return;
    }
    setBusy(true);
    if (props.act === "merge") await merge(board, props.task, Number(into()), text);
    else if (props.act === "handover") await handover(board, props.task, Number(desk()), text);
    else await step(board, props.task, BECOMES[props.act], text ? { note: text } : {});
    setBusy(false);
    props.onDone();
  };
  return (
    <form class="ask" onSubmit={go} aria-label={title()}>
      <h3>{title()}</h3>
      <Switch>
        <Match when={props.act === "handover" && targets().length === 0}>
          <p>{say().noDesks}</p>
        </Match>
        <Match when={props.act === "handover"}>
          <label class="field">
            <span>{say().handoverTo}</span>
            <select
              value={desk()}
              required
              onChange={(event) => setDesk(event.currentTarget.value)}
            >
              <option value="" />
              <For each={targets()}>
                {(one) => <option value={String(one.id)}>{one.name}</option>}
              </For>
            </select>
          </label>
        </Match>
        <Match when={props.act === "merge" && others().length === 0}>
          <p>{say().noTargets}</p>
        </Match>
        <Match when={props.act === "merge"}>
          <label class="field">
            <span>{say().mergeInto}</span>
            <select
              value={into()}
              required
              onChange={(event) => setInto(event.currentTarget.value)}
            >
              <option value="" />
              <For each={others()}>
                {(one) => (
                  <option value={String(one.id)}>
                    {say().number(one.id)} {board.title(one)}
                  </option>
                )}
              </For>
            </select>
            <small class="dim">{say().mergeNote}</small>
          </label>
        </Match>
        <Match when={true}>
          <label class="field">
            <span>{label()}</span>
            <textarea
              rows={2}
              maxLength={500}
              value={note()}
              aria-invalid={wrong() !== ""}
              onInput={(event) => setNote(event.currentTarget.value)}
            />
          </label>
        </Match>
      </Switch>
      <Show when={wrong()}>
        <p class="wrong" role="alert">
          {wrong()}
        </p>
      </Show>
      <div class="act-row">
        <button type="button" class="act" onClick={props.onDone}>
          {say().cancel}
        </button>
        <Show when={possible()}>
          <button type="submit" class="act act-main" disabled={busy()}>
            {board.away() ? say().later[props.act] : say().acts[props.act]}
          </button>
        </Show>
      </div>
    </form>
  );
}
