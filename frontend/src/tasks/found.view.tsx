/** What was found on the spot: the answer, what was done, the photos. */
import { For, Show } from "solid-js";
import { taskAddresses } from "../api/tasks";
import { useBoard } from "./board";
import { measure } from "./measures";
import type { Shown } from "./steps";

export function Found(props: { task: Shown }) {
  const board = useBoard();
  const { say } = board;
  const words = () => props.task.steps.findLast((one) => one.step === "feedback")?.note;
  return (
    <Show when={props.task.answer}>
      {(answer) => (
        <section class="found">
          <h4>{say().result}</h4>
          <p>
            <b>{say().answers[answer()]}</b>
            <Show when={props.task.measures.length > 0}>
              {" "}
              · {props.task.measures.map((one) => board.both(measure(props.task, one))).join(" · ")}
            </Show>
            <Show when={props.task.count}>{(n) => <> · {say().resultCount(n())}</>}</Show>
          </p>
          <Show when={words()}>{(text) => <p class="said">{text()}</p>}</Show>
          <Show when={props.task.photos.length > 0}>
            <ul class="photos" aria-label={say().photosOf}>
              <For each={props.task.photos}>
                {(one, index) => (
                  <li>
                    <a
                      class="shot"
                      href={taskAddresses.photo(props.task.id, one)}
                      target="_blank"
                      rel="noopener"
                    >
                      <Show when={!board.away()} fallback={say().photo(index() + 1)}>
                        <img
                          src={taskAddresses.photo(props.task.id, one)}
                          alt={say().photo(index() + 1)}
                          loading="lazy"
                        />
                      </Show>
                    </a>
                  </li>
                )}
              </For>
            </ul>
          </Show>
        </section>
      )}
    </Show>
  );
}
