/** A word beside a duty desk whose page is open now. */
import { Show } from "solid-js";
import { useBorder } from "./model";

export function There(props: { desk: number }) {
  const border = useBorder();
  return (
    <Show when={border.presence.desk(props.desk)}>
      <span class="there" data-there={props.desk}>
        {border.say().there}
      </span>
    </Show>
  );
}
