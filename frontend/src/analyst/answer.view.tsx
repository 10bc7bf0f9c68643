/** The answer, read downward: how many, is it more than it should be, when, where inside, against whom. */
import { Show } from "solid-js";
import { count } from "../charts/numbers";
import { useAsk } from "./ask";

export function AnswerPanel() {
  const ask = useAsk();
  return (
    <div class="panel-body answer">
      <Show
        when={ask.active() || ask.moving()}
        fallback={
          <div class="state">
            <h3>{ask.say().startTitle}</h3>
            <p>{ask.say().startText}</p>
          </div>
        }
      >
        <dl class="answer-figures">
          <div>
            <dt>{ask.say().observed}</dt>
            <dd>
              <b data-testid="observed">{count(ask.live.data()?.total)}</b> {ask.say().events}
            </dd>
          </div>
        </dl>
      </Show>
    </div>
  );
}
