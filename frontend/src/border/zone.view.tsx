/** A zone's page: how it stands, its index, what each side says, desks, checkpoints, versions. */
import { Phone } from "lucide";
import { createMemo, createSignal, For, Show } from "solid-js";
import type { Colour } from "../api/models";
import { RatioInterval } from "../charts/charts";
import { count, expectedCount, percent, probability, ratio } from "../charts/numbers";
import { Icon } from "../command/icon";
import { away } from "../offline/offline";
import { metresText } from "./format";
import { createKept } from "./kept";
import { namesOf } from "./members";
import { useBorder } from "./model";
import { FailureNote, Field, Head, useTimes } from "./parts.view";
import { There } from "./there.view";
import type { ZoneDetail, ZoneVersion } from "./types";
import { createIndex } from "./zone-chip.view";

export function ZoneView(props: { id: number }) {
  const border = useBorder();
  const { say } = border;
  const time = useTimes();
  const zone = createKept<ZoneDetail>(() => {
    border.zones.value(); // a change of the list is a change of this
    return border.may("border:read") ? `/api/zones/${props.id}` : null;
  });
  const state = (one: ZoneDetail) => {
    const word = say().zoneStates[one.version?.state ?? "expired"];
    const at = zone.at();
    return away() && at ? say().stateAt(word, time(at)) : word;
  };
  return (
    <div class="panel-body zone-page">
      <Show
        when={zone.value()}
        fallback={
          <>
            <Head title={say().zone} />
            <p class="state">{zone.failure()?.status === 404 ? say().zoneGone : say().loading}</p>
          </>
        }
      >
        {(one) => (
          <>
            <Head title={say().zone}>
              <span class="state-badge" data-testid="zone-state">
                {state(one())}
              </span>
            </Head>
            <div class="panel-scroll">
              <h3 class="zone-name">{one().name}</h3>
              <Show when={one().version?.in_force}>
                <Index zone={one().id} />
              </Show>
              <For
                each={one().versions.filter(
                  (each) => each.state === "proposed" || each.state === "draft",
                )}
              >
                {(each) => <Decide zone={one()} version={each} reload={zone.reload} />}
              </For>
              <Show when={one().version}>{(version) => <Facts version={version()} />}</Show>
              <h3 class="rule-head">{say().desks}</h3>
              <ul class="near">
                <For each={one().desks} fallback={<li>{say().noDesks}</li>}>
                  {(desk) => (
                    <li>
                      <b>{desk.name}</b>
                      <There desk={desk.id} />
                      <span>{desk.office_line ?? say().noLine}</span>
                      <Show when={desk.office_line}>
                        {(line) => (
                          <a
                            class="end call-small"
                            href={`tel:${line().replace(/[^\d+]/g, "")}`}
                            aria-label={say().call(desk.name)}
                          >
                            <Icon node={Phone} />
                          </a>
                        )}
                      </Show>
                    </li>
                  )}
                </For>
              </ul>
              <h3 class="rule-head">{say().checkpoints}</h3>
              <ul class="near">
                <For each={one().checkpoints} fallback={<li>{say().noCheckpoints}</li>}>
                  {(point) => (
                    <li>
                      <b>{point.name}</b>
                      <span>{border.sideName(point.side)}</span>
                    </li>
                  )}
                </For>
              </ul>
              <h3 class="rule-head">{say().versions}</h3>
              <ol class="versions">
                <For each={one().versions}>
                  {(each) => (
                    <li>
                      <b>{say().version(each.version)}</b>
                      <span>{say().zoneStates[each.state]}</span>
                      <span>
                        {each.metres ? say().metresBoth(metresText(each.metres)) : say().drawn}
                      </span>
                      <time class="end">{time(each.made_at)}</time>
                    </li>
                  )}
                </For>
              </ol>
            </div>
            <div class="act two">
              <Show when={border.may("zone:write")}>
                <button
                  type="button"
                  class="button button-wide"
                  onClick={() => border.open({ what: "zone-change", id: one().id })}
                >
                  {say().changeZone}
                </button>
              </Show>
              <Show when={border.may("check:write") && one().version?.in_force}>
                <button
                  type="button"
                  class="button button-primary button-wide"
                  onClick={() => border.open({ what: "check-new", id: one().id })}
                >
                  {say().startShort}
                </button>
              </Show>
            </div>
          </>
        )}
      </Show>
      <Show when={zone.failure()?.status !== 404}>
        <FailureNote failure={zone.value() ? undefined : zone.failure()} retry={zone.reload} />
      </Show>
    </div>
  );
}

function Index(props: { zone: number }) {
  const border = useBorder();
  const { say, frame } = border;
  const index = createIndex(border, () => props.zone);
  return (
    <section class="zone-index" aria-label={say().index} data-testid="zone-index">
      <h3 class="rule-head">{say().index}</h3>
      <Show
        when={index.value()}
        fallback={<p>{index.failure() ? say().noIndex : say().loading}</p>}
      >
        {(one) => (
          <Show when={!one().withheld} fallback={<p>{say().withheld(one().min_count)}</p>}>
            <div class="index-head">
              <Show when={one().colour}>
                {(colour) => (
                  <span class={`chip chip-${colour()}`}>
                    {frame.words().colours[colour() as Colour]}
                  </span>
                )}
              </Show>
              <b class="key">{ratio(one().relative_risk)}</b>
              <span>
                {frame.words().relativeRisk} {ratio(one().low)}–{ratio(one().high)}
              </span>
              <Show when={one().relative_risk !== null}>
                <RatioInterval
                  ratio={one().relative_risk ?? 1}
                  low={one().low}
                  high={one().high}
                  colour={(one().colour ?? "blue") as Colour}
                />
              </Show>
            </div>
            <dl class="facts">
              <dt>{frame.words().observedExpected}</dt>
              <dd>
                <b>{count(one().observed)}</b> / {expectedCount(one().expected)}
              </dd>
              <dt>{say().exceedance}</dt>
              <dd>{one().exceedance === null ? "—" : probability(one().exceedance ?? 0)}</dd>
              <dt>{say().changeWord}</dt>
              <dd>
                {one().change === null
                  ? frame.words().few
                  : `${percent((one().change ?? 1) - 1, 0)} (${ratio(one().change_low)}–${ratio(one().change_high)})`}
              </dd>
            </dl>
            <p class="note">{say().indexNote(count(one().cells), one().res)}</p>
          </Show>
        )}
      </Show>
    </section>
  );
}

function Facts(props: { version: ZoneVersion }) {
  const border = useBorder();
  const { say } = border;
  const time = useTimes();
  // names come with the map's tiles
  const names = createMemo(() => {
    border.now();
    return namesOf(props.version.units, border.frame.map(), border.view.state.lang).join(
      border.frame.words().listed,
    );
  });
  const given = (side: string) => props.version.approvals.find((one) => one.side === side);
  return (
    <>
      <dl class="facts">
        <dt>{say().ground}</dt>
        <dd>
          {props.version.metres ? say().metresBoth(metresText(props.version.metres)) : say().drawn}
        </dd>
        <dt>{say().members}</dt>
        <dd>{names()}</dd>
        <dt>{say().validity}</dt>
        <dd>
          {say().sinceTime(time(props.version.valid_from))} ·{" "}
          {props.version.valid_to ? say().until(time(props.version.valid_to)) : say().noEnd}
        </dd>
        <Show when={props.version.note}>
          <dt>{say().noteOf}</dt>
          <dd>{props.version.note}</dd>
        </Show>
      </dl>
      <h3 class="rule-head">{say().approvals}</h3>
      <ul class="near">
        <For each={props.version.sides}>
          {(side) => (
            <li>
              <b>{border.sideName(side)}</b>
              <span>
                {given(side)
                  ? given(side)?.decision === "approve"
                    ? say().approved
                    : say().rejected
                  : say().notYet}
              </span>
              <span>{given(side)?.reason}</span>
              <Show when={given(side)}>{(one) => <time class="end">{time(one().at)}</time>}</Show>
            </li>
          )}
        </For>
      </ul>
    </>
  );
}

/** What one's own side may do with a version that is not in force yet. */
function Decide(props: { zone: ZoneDetail; version: ZoneVersion; reload: () => void }) {
  const border = useBorder();
  const { say } = border;
  const [rejecting, setRejecting] = createSignal(false);
  const [reason, setReason] = createSignal("");
  const [error, setError] = createSignal("");
  const open = () =>
    props.version.sides.filter(
      (side) =>
        border.own().includes(side) && !props.version.approvals.some((one) => one.side === side),
    );
  const decide = async (decision: "propose" | "approve" | "reject") => {
    setError("");
    const result = await border.outbox.submit({
      method: "POST",
      address: `/api/zones/${props.zone.id}/versions/${props.version.version}/decisions`,
      body: { decision, reason: reason(), side: open()[0] ?? null },
      title: `${say()[decision === "propose" ? "propose" : decision]} · ${props.zone.name}`,
      of: `zone ${props.zone.id}`,
    });
    if (result.kind === "refused") {
      setError(say().refusedOne(result.no.message));
      await border.outbox.drop(result.action.key);
    }
    setRejecting(false);
    border.zones.reload();
    props.reload();
  };
  const queued = () =>
    border.outbox.actions().some((one) => one.of === `zone ${props.zone.id}` && !one.refused);
  return (
    <section class="decide" data-version={props.version.version}>
      <p>
        <b>
          {say().version(props.version.version)} · {say().zoneStates[props.version.state]}
        </b>{" "}
        {props.version.metres ? say().metresBoth(metresText(props.version.metres)) : say().drawn}
      </p>
      <Show when={error()}>
        <p class="field-error" role="alert">
          {error()}
        </p>
      </Show>
      <Show when={queued()}>
        <p role="status">{say().queuedStep}</p>
      </Show>
      <Show when={border.may("zone:approve") && open().length > 0 && !queued()}>
        <Show
          when={props.version.state === "proposed"}
          fallback={
            <button type="button" class="button button-primary" onClick={() => decide("propose")}>
              {say().propose}
            </button>
          }
        >
          <Show when={rejecting()}>
            <Field label={say().rejectReason}>
              <input
                value={reason()}
                maxLength={500}
                onInput={(event) => setReason(event.currentTarget.value)}
              />
            </Field>
          </Show>
          <div class="two">
            <button
              type="button"
              class="button"
              disabled={rejecting() && reason().trim() === ""}
              onClick={() => (rejecting() ? void decide("reject") : setRejecting(true))}
            >
              {say().reject}
            </button>
            <button type="button" class="button button-primary" onClick={() => decide("approve")}>
              {say().approve}
            </button>
          </div>
        </Show>
      </Show>
    </section>
  );
}
