/** The alert of the selected unit in the why panel: its mark, its reason, how far its task is. */
import { BellOff, BellRing } from "lucide";
import { Show } from "solid-js";
import { moment } from "../state/times";
import { taskOf } from "./alert-rules";
import { Icon } from "./icon";
import { alertName } from "./kind-names";
import { useModel } from "./model";

export function AlertNote() {
  const model = useModel();
  const { words, view } = model;
  const at = (iso: string) => moment(iso, model.map().time_zone, new Date());
  return (
    <Show when={model.alerts.alert()}>
      {(alert) => (
        <section class="alert-note" data-alert={alert().id} data-state={alert().state}>
          <h3>
            <Icon node={alert().state === "open" ? BellRing : BellOff} />
            <b>
              {alert().state === "open"
                ? words().alertOpen(alertName(model, alert()))
                : words().alertClosed(alertName(model, alert()))}
            </b>
            <span>
              {alert().state === "open"
                ? words().alertSince(at(alert().opened_at))
                : words().alertUntil(at(alert().closed_at ?? alert().opened_at))}
            </span>
          </h3>
          <p>{alert().reason[view.state.lang]}</p>
          <p class="note">
            <Show when={alert().state === "closed"}>
              {words().alertClosedBy[alert().closed_by ?? "rule"]}
            </Show>
            <Show when={alert().state === "open" && alert().grids.length > 0}>
              {words().alertGrids(
                alert()
                  .grids.slice(0, 3)
                  .map((one) => one.name)
                  .join(words().listed),
                alert().grids.length,
              )}
            </Show>
            <Show when={alert().state === "open" && alert().why_not}>
              {(why) => <>{words().alertWhyNot[why()]}</>}
            </Show>
            <Show when={taskOf(alert())}>
              {(task) => (
                <>
                  {" · "}
                  {words().taskState(words().taskStates[task().state] ?? task().state)}
                  <Show when={task().overdue}> · {words().overdue}</Show>
                </>
              )}
            </Show>
          </p>
        </section>
      )}
    </Show>
  );
}
