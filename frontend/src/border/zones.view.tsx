/** Joint-control zones as a list. */
import { Plus } from "lucide";
import { For, Show } from "solid-js";
import { Icon } from "../command/icon";
import { away } from "../offline/offline";
import { zoneLook } from "./map-sources";
import { useBorder } from "./model";
import { FailureNote, useTimes } from "./parts.view";

export function ZoneListView() {
  const border = useBorder();
  const { say, zones } = border;
  const time = useTimes();
  const all = () => zones.value()?.zones ?? [];
  const selected = (id: number) => {
    const open = border.opened();
    return open.what === "zone" && open.id === id;
  };
  const state = (one: ReturnType<typeof all>[number]) => {
    const word = say().zoneStates[one.version?.state ?? "expired"];
    const at = zones.at();
    return away() && at ? say().stateAt(word, time(at)) : word;
  };
  return (
    <>
      <h3 class="list-head">
        <span>{say().zones(all().length)}</span>
        <Show when={border.may("zone:write")}>
          <button type="button" class="link end" onClick={() => border.open({ what: "zone-new" })}>
            <Icon node={Plus} />
            {say().newZone}
          </button>
        </Show>
      </h3>
      <FailureNote failure={zones.failure()} retry={zones.reload} />
      <Show when={zones.value() && all().length === 0}>
        <p class="list-none">
          <b>{say().noZones}</b> {say().noZonesText}
        </p>
      </Show>
      <ul class="rows" data-testid="zones">
        <For each={all()}>
          {(one) => (
            <li>
              <button
                type="button"
                class="row row-icon"
                data-zone={one.id}
                aria-current={selected(one.id) ? "true" : undefined}
                onClick={() => border.open({ what: "zone", id: one.id })}
              >
                <i class={`zone-swatch zone-${zoneLook(one)}`} aria-hidden="true" />
                <span class="row-top">
                  <b>{one.name}</b>
                </span>
                <span class="row-sub">
                  {[
                    state(one),
                    one.sides.map(border.sideName).join(border.frame.words().listed),
                  ].join(" · ")}
                </span>
              </button>
            </li>
          )}
        </For>
      </ul>
    </>
  );
}
