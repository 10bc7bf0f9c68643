/** One task: place, reason, six steps, what to check and how, what was found, and what to do now. */
import { Check, ChevronLeft, X } from "lucide";
import { createEffect, createSignal, For, lazy, on, Show, Suspense } from "solid-js";
import type { TaskDesk } from "../api/tasks";
import { Chip } from "../command/chip.view";
import { Icon } from "../command/icon";
import { ActBar } from "./acts.view";
import { useBoard } from "./board";
import { due, when } from "./due";
import { Found } from "./found.view";
import { mapHash, Refusals, StepBar } from "./parts.view";
import { boldNumbers } from "./place";
import { isOpen, type Shown } from "./steps";

/** The map comes after the words: a task can be read before its map is there. */
const Strip = lazy(() => import("./strip.view"));

export function Sheet(props: {
  task: Shown;
  /** With its own small map: where no large one stands beside it. */
  strip: boolean;
  desks: readonly TaskDesk[];
  onBack?: () => void;
  onClose?: () => void;
}) {
  const board = useBoard();
  const { say, view, frame } = board;
  const end = () => due(props.task.due_at, board.now(), board.zone(), view.state.lang);
  return (
    <article class="sheet" aria-label={say().sheet} data-state={props.task.state}>
      <header class="sheet-head">
        <Show when={props.onBack}>
          {(back) => (
            <button type="button" class="back" aria-label={say().back} onClick={back()}>
              <Icon node={ChevronLeft} size={28} />
            </button>
          )}
        </Show>
        <h2>{say().sheet}</h2>
        <span class="sheet-number">{say().number(props.task.id)}</span>
        <Show when={props.onClose}>
          {(close) => (
            <button
              type="button"
              class="icon-button"
              title={frame.words().close}
              aria-label={frame.words().close}
              onClick={close()}
            >
              <Icon node={X} />
            </button>
          )}
        </Show>
      </header>
      <div class="sheet-scroll">
        <Show when={props.strip}>
          <Suspense fallback={<div class="strip" aria-busy="true" />}>
            <Show when={props.task.id} keyed>
              {(_) => <Strip task={props.task} />}
            </Show>
          </Suspense>
        </Show>
        <div class="sheet-body">
          <Refusals task={props.task.id} />
          <section class="who">
            <h3>
              <Chip colour={props.task.colour} />
              <span>{board.title(props.task)}</span>
            </h3>
            <p class="reason">
              <Numbers text={board.both(props.task.reason)} />
            </p>
            <p class="facts">
              <Show when={isOpen(props.task.state)}>
                <b>{end().text}</b>
              </Show>
              <Show when={props.task.escalation !== "none"}>
                {" "}
                · {say().escalation[props.task.escalation]}
              </Show>
              <Show when={props.task.desk}> · {props.task.desk}</Show> ·{" "}
              <a class="link" href={`/${mapHash(board, props.task)}`}>
                {say().onMap}
              </a>
            </p>
          </section>
          <StepBar task={props.task} />
          <Checks task={props.task} />
          <Found task={props.task} />
          <History task={props.task} />
        </div>
      </div>
      <ActBar task={props.task} desks={props.desks} />
    </article>
  );
}

/** A sentence in which what was observed and expected, said first, is bold. */
function Numbers(props: { text: string }) {
  const parts = () => boldNumbers(props.text);
  return <For each={parts()}>{(part, i) => (i() % 2 ? <b>{part}</b> : part)}</For>;
}

/** What to check in bold, how in grey; the ticks stay on this device. */
function Checks(props: { task: Shown }) {
  const board = useBoard();
  const { say } = board;
  const [ticked, setTicked] = createSignal<readonly number[]>([]);
  const key = () => `ticks:${props.task.id}`;
  createEffect(
    on(
      () => [props.task.id, board.me()?.name] as const,
      () => {
        setTicked([]);
        board.recall<number[]>(key()).then(
          (known) => setTicked(known ?? []),
          () => undefined,
        );
      },
    ),
  );
  const howOf = (index: number) => {
    const found = props.task.how[index];
    return found ? board.both(found) : "";
  };
  const toggle = (index: number) => {
    const next = ticked().includes(index)
      ? ticked().filter((one) => one !== index)
      : [...ticked(), index];
    setTicked(next);
    void board.remember(key(), next);
  };
  return (
    <section class="checks">
      <h4>
        <span>{say().check}</span>
        <Show when={props.task.check.length > 0}>
          <span>{say().checked(ticked().length, props.task.check.length)}</span>
        </Show>
      </h4>
      <Show when={props.task.check.length > 0} fallback={<p class="dim">{say().noChecks}</p>}>
        <ul>
          <For each={props.task.check}>
            {(check, index) => (
              <li>
                <label>
                  <input
                    type="checkbox"
                    checked={ticked().includes(index())}
                    disabled={!isOpen(props.task.state)}
                    onChange={() => toggle(index())}
                  />
                  <span class="tick">
                    <Icon node={Check} size={20} />
                  </span>
                  <span>
                    <b>{board.both(check)}</b>
                    <span class="how">{howOf(index())}</span>
                  </span>
                </label>
              </li>
            )}
          </For>
        </ul>
      </Show>
    </section>
  );
}

/** Every step with its time and the part it was taken in; never who. */
function History(props: { task: Shown }) {
  const board = useBoard();
  const { say, view } = board;
  return (
    <details class="history">
      <summary>{say().history}</summary>
      <ol>
        <For each={props.task.steps}>
          {(one, index) => (
            <li>
              <time datetime={one.at}>
                {when(one.at, board.now(), board.zone(), view.state.lang)}
              </time>
              <b>{say().steps[one.step] ?? one.step}</b>
              <span>
                {index() >= props.task.steps.length - props.task.waitingSteps
                  ? say().roles.device
                  : (say().roles[one.by_role] ?? one.by_role)}
              </span>
              <Show when={one.note}>
                <p>{one.note}</p>
              </Show>
            </li>
          )}
        </For>
      </ol>
    </details>
  );
}
