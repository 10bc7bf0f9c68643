/** Black strip: since when the data stands still and why. Colours stay as they are. */
import { ClockAlert } from "lucide";
import { Show } from "solid-js";
import { staleSince } from "../api/server";
import { daysSince, moment } from "../state/times";
import { useFrame } from "./frame";
import { Icon } from "./icon";

/** Real feeds older than this are said to have stopped; simulated events have no such age. */
const OLD_DAYS = 45;

export function StaleStrip(props: { lost: boolean }) {
  const model = useFrame();
  const cutoff = () => model.map().data_cutoff;
  const days = () => {
    const at = cutoff();
    return at && !model.map().simulated ? daysSince(at, new Date()) : 0;
  };
  const standsSince = () => staleSince() ?? cutoff() ?? model.map().published_at;
  const reason = () => {
    if (props.lost) return model.words().staleServer;
    return staleSince() ? model.words().staleDatabase : model.words().staleAge(String(days()));
  };
  return (
    <Show when={props.lost || staleSince() || days() > OLD_DAYS}>
      <div class="stale" role="status">
        <Icon node={ClockAlert} />
        <b>{model.words().stale(moment(standsSince(), model.map().time_zone, new Date()))}</b>
        <span>{reason()}</span>
      </div>
    </Show>
  );
}
