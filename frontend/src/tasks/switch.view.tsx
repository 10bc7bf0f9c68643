/** A switch with its words; off until somebody turns it on. */
import { MapPin } from "lucide";
import { Icon } from "../command/icon";

export function SwitchRow(props: {
  label: string;
  hint: string;
  on: boolean;
  onChange: (on: boolean) => void;
}) {
  return (
    <label class="switch-row">
      <Icon node={MapPin} size={20} />
      <span>{props.label}</span>
      <span class="hint-word">{props.hint}</span>
      <input
        type="checkbox"
        role="switch"
        checked={props.on}
        aria-checked={props.on}
        onChange={(event) => props.onChange(event.currentTarget.checked)}
      />
      <span class="switch" aria-hidden="true" />
    </label>
  );
}
