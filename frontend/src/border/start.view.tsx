/** The one black button: open a check for a zone in force. */
import { ShieldCheck } from "lucide";
import { Show } from "solid-js";
import { Icon } from "../command/icon";
import { useBorder } from "./model";

export function StartCheck(props: { zone?: number }) {
  const border = useBorder();
  const inForce = () => (border.zones.value()?.zones ?? []).filter((one) => one.version?.in_force);
  /** The zone one stands in, else the first in force. */
  const wanted = () => props.zone ?? border.here.where()?.zones[0]?.id ?? inForce()[0]?.id ?? 0;
  return (
    <Show when={border.may("check:write")}>
      <div class="act">
        <button
          type="button"
          class="button button-primary button-wide"
          disabled={inForce().length === 0}
          title={inForce().length === 0 ? border.say().noZonesToCheck : undefined}
          onClick={() => border.open({ what: "check-new", id: wanted() })}
        >
          <Icon node={ShieldCheck} size={20} />
          {border.say().startCheck}
        </button>
      </div>
    </Show>
  );
}
