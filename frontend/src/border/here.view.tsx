/** Where am I: side, units, metres to the line, zones in force, desks to call, what is near. */
import { LocateFixed, Phone, Shield } from "lucide";
import { For, Show } from "solid-js";
import { Icon } from "../command/icon";
import { SearchBox } from "../command/search.view";
import { away } from "../offline/offline";
import { metresParts, metresText, octant } from "./format";
import { useBorder } from "./model";
import { FailureNote, useTimes } from "./parts.view";
import { StartCheck } from "./start.view";
import { There } from "./there.view";
import type { Desk, Where } from "./types";
import { ZoneChip } from "./zone-chip.view";

export function HereView() {
  const border = useBorder();
  const { say, here } = border;
  return (
    <div class="panel-body here">
      <div class="panel-scroll">
        <Show when={!here.where()}>
          <div class="here-ask">
            <h2>{say().askPlace}</h2>
            <p>{say().askPlaceText}</p>
            <Ways />
            <Show when={here.following() && !here.fault()}>
              <p role="status">{say().locating}</p>
            </Show>
            <p class="note">{say().locateNote}</p>
          </div>
        </Show>
        <Show when={here.fault()}>
          {(fault) => (
            <p class="here-fault" role="alert">
              {say().faults[fault()]}
            </p>
          )}
        </Show>
        <FailureNote failure={here.failure()} />
        <Show when={here.where()}>
          {(where) => (
            <>
              <Answer where={where()} />
              <Show when={border.narrow()}>
                <Ways />
              </Show>
            </>
          )}
        </Show>
      </div>
      <StartCheck />
    </div>
  );
}

/** The device's own position, or a name or code; a desk has its search above. */
function Ways() {
  const border = useBorder();
  const { say, here, view } = border;
  return (
    <div class="here-ways">
      <button
        type="button"
        class="button"
        aria-pressed={here.following()}
        onClick={() => (here.following() ? here.stop() : here.follow())}
      >
        <Icon node={LocateFixed} size={20} />
        {here.following() ? say().locateStop : say().locate}
      </button>
      <Show when={border.narrow()}>
        <SearchBox onFound={(code) => view.go({ at: code })} />
      </Show>
    </div>
  );
}

function Answer(props: { where: Where }) {
  const border = useBorder();
  const { say, here } = border;
  const time = useTimes();
  const side = () => {
    const found = props.where.side;
    if (!found) return here.own() ? say().unknownSide : say().outside;
    const name = border.sideName(found.code);
    return here.following() ? say().youAre(name) : say().placeIn(name);
  };
  const units = () => props.where.units.slice(-2).map(border.frame.nameOf).join(" ");
  const how = () => {
    const metres = here.accuracy();
    const parts = [say().toLine];
    parts.push(metres === null ? say().byHand : say().accuracy(metresText(metres)));
    if (here.own()) parts.push(say().ownResult);
    return parts.join(" · ");
  };
  const across = () => {
    const { azimuth, other_side } = props.where;
    if (azimuth === null || azimuth === undefined || !other_side) return "";
    return say().towards(say().directions[octant(azimuth)] ?? "", border.sideName(other_side.code));
  };
  const isOwn = (desk: Desk) => border.own().includes(desk.side);
  return (
    <section class="here-answer" aria-live="polite">
      <div class="here-head">
        <div>
          <p>{side()}</p>
          <h2>{units() || `${props.where.lon.toFixed(4)}, ${props.where.lat.toFixed(4)}`}</h2>
        </div>
        <Show when={props.where.metres_to_line !== null}>
          <div class="here-metres">
            <p>{how()}</p>
            <p class="key" data-testid="metres">
              <b>{metresParts(props.where.metres_to_line ?? 0)[0]}</b>{" "}
              {metresParts(props.where.metres_to_line ?? 0)[1]}
            </p>
          </div>
        </Show>
      </div>
      <Show when={across()}>
        <p class="here-across">{across()}</p>
      </Show>
      <Show when={props.where.zones.length > 0} fallback={<p class="here-none">{say().noZone}</p>}>
        <For each={props.where.zones}>
          {(zone) => (
            <button
              type="button"
              class="zone-card"
              onClick={() => border.open({ what: "zone", id: zone.id })}
            >
              <i class="zone-swatch" aria-hidden="true" />
              <span class="zone-card-text">
                <b>{zone.name}</b>
                <span>
                  {[
                    away() && border.zones.at()
                      ? say().stateAt(say().inForce, time(border.zones.at() as Date))
                      : say().inForce,
                    zone.valid_to ? say().until(time(zone.valid_to)) : "",
                    props.where.checkpoints[0]?.metres
                      ? say().checkpointAt(metresText(props.where.checkpoints[0].metres))
                      : "",
                  ]
                    .filter((one) => one !== "")
                    .join(" · ")}
                </span>
              </span>
              <ZoneChip zone={zone.id} />
            </button>
          )}
        </For>
      </Show>
      <Show when={props.where.desks.length === 0}>
        <p class="here-none">{say().noDesks}</p>
      </Show>
      <ul class="desks">
        <For each={props.where.desks.toSorted((a, b) => Number(isOwn(b)) - Number(isOwn(a)))}>
          {(desk) => (
            <li>
              <span>
                <b>
                  {desk.name}
                  {border.frame.words().bracket(isOwn(desk) ? say().ownDesk : say().otherDesk)}
                  <There desk={desk.id} />
                </b>
                <span>
                  {[desk.office_line ?? say().noLine, desk.hours].filter(Boolean).join(" · ")}
                </span>
              </span>
              <Show when={desk.office_line}>
                {(line) => (
                  <a
                    class="call"
                    href={`tel:${line().replace(/[^\d+]/g, "")}`}
                    aria-label={say().call(desk.name)}
                    title={say().call(desk.name)}
                  >
                    <Icon node={Phone} size={20} />
                  </a>
                )}
              </Show>
            </li>
          )}
        </For>
      </ul>
      <h3 class="rule-head">{say().checkpoints}</h3>
      <Show when={props.where.checkpoints.length === 0}>
        <p class="here-none">{say().noCheckpoints}</p>
      </Show>
      <ul class="near">
        <For each={props.where.checkpoints}>
          {(one) => (
            <li>
              <Icon node={Shield} />
              <b>{one.name}</b>
              <span>{border.sideName(one.side)}</span>
              <span class="end num">{one.metres ? metresText(one.metres) : ""}</span>
            </li>
          )}
        </For>
      </ul>
      <h3 class="rule-head">{say().devices}</h3>
      <Show when={props.where.devices.length === 0}>
        <p class="here-none">{say().noDevices}</p>
      </Show>
      <ul class="near">
        <For each={props.where.devices}>
          {(one) => (
            <li>
              <i class={`device-dot device-${one.state}`} />
              <b>{say().deviceKinds[one.kind] ?? one.kind}</b>
              <span>
                {away() && border.devices.at()
                  ? say().stateAt(
                      say().deviceStates[one.state as "online"] ?? one.state,
                      time(border.devices.at() as Date),
                    )
                  : (say().deviceStates[one.state as "online"] ?? one.state)}
              </span>
              <span class="end num">{metresText(one.metres)}</span>
            </li>
          )}
        </For>
      </ul>
    </section>
  );
}
