/** The question: kinds, time, hours, ways of locating; how long the answer took. */
import { Show } from "solid-js";
import { Badges } from "../command/kinds.view";
import { useAsk } from "./ask";

export function QuestionBar() {
  const ask = useAsk();
  return (
    <div class="controls question">
      <Badges />
      <div class="controls-end">
        <Show when={ask.live.took()}>
          {(ms) => <span class="took">{ask.say().exact(ms().toFixed(1))}</span>}
        </Show>
      </div>
    </div>
  );
}
