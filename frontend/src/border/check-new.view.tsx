/** A check to be opened: zone, reference, reason, end; who will be told. */
import { Building2, Info, Send, ShieldCheck } from "lucide";
import { createMemo, createSignal, For, Show } from "solid-js";
import { Icon } from "../command/icon";
import { useBorder } from "./model";
import { Field, Head, SideChoice } from "./parts.view";
import { There } from "./there.view";
import type { Check } from "./types";

const HOURS = [1, 2, 4] as const;

export function NewCheckView(props: { zone: number }) {
  const border = useBorder();
  const { say, view } = border;
  const inForce = createMemo(() =>
    (border.zones.value()?.zones ?? []).filter((one) => one.version?.in_force),
  );
  const zone = createMemo(() => inForce().find((one) => one.id === props.zone) ?? inForce()[0]);
  const [reference, setReference] = createSignal("");
  const [reason, setReason] = createSignal("");
  const [hours, setHours] = createSignal(2);
  const [end, setEnd] = createSignal("");
  const [side, setSide] = createSignal("");
  const [error, setError] = createSignal("");
  const [busy, setBusy] = createSignal(false);
  const sides = () => (zone()?.sides ?? []).filter((one) => border.own().includes(one));
  const speaking = () => side() || sides()[0] || "";
  const endsAt = () =>
    hours() > 0
      ? new Date(border.moment().getTime() + hours() * 3_600_000)
      : new Date(end() || Number.NaN);
  const ready = () =>
    zone() !== undefined &&
    reference().trim() !== "" &&
    reason().trim() !== "" &&
    !Number.isNaN(endsAt().getTime());
  const told = () => (border.desks.value() ?? []).filter((one) => zone()?.sides.includes(one.side));
  const points = () =>
    (border.checkpoints.value() ?? []).filter((one) => zone()?.sides.includes(one.side)).length;
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const at = zone();
    if (!at || !ready() || busy()) return;
    setBusy(true);
    setError("");
    const result = await border.outbox.submit({
      method: "POST",
      address: `/api/zones/${at.id}/checks`,
      body: {
        reference: reference().trim(),
        reason: reason().trim(),
        ends_at: endsAt().toISOString(),
        side: speaking() || null,
      },
      title: `${say().startShort} · ${reference().trim()}`,
      of: "check-new",
    });
    setBusy(false);
    if (result.kind === "refused") {
      await border.outbox.drop(result.action.key);
      setError(
        /person|identity|plate|phone|telephone|mobile/i.test(result.no.message)
          ? (say().problems.person ?? "")
          : say().refusedOne(result.no.message),
      );
    } else if (result.kind === "sent") {
      border.checks.reload();
      view.go({ open: `check.${(result.value as Check | null)?.id ?? 0}` }, "replace");
    } else border.close();
  };
  return (
    <form class="panel-body check-new" onSubmit={submit}>
      <Head title={say().startCheck} />
      <div class="panel-scroll">
        <Field label={say().zone}>
          <select
            value={zone()?.id ?? ""}
            onChange={(event) =>
              border.open({ what: "check-new", id: Number(event.currentTarget.value) }, "replace")
            }
          >
            <For each={inForce()}>{(one) => <option value={one.id}>{one.name}</option>}</For>
          </select>
        </Field>
        <Show when={border.zones.value() && inForce().length === 0}>
          <p role="status">{say().noZonesToCheck}</p>
        </Show>
        <SideChoice sides={sides()} value={speaking()} onChoose={setSide} />
        <Field label={say().reference}>
          <input
            name="reference"
            value={reference()}
            maxLength={40}
            autocomplete="off"
            required
            onInput={(event) => setReference(event.currentTarget.value)}
          />
        </Field>
        <p class="field-note">
          <Icon node={Info} />
          {say().referenceNote}
        </p>
        <Field label={say().reason}>
          <input
            name="reason"
            value={reason()}
            maxLength={200}
            autocomplete="off"
            required
            onInput={(event) => setReason(event.currentTarget.value)}
          />
        </Field>
        <fieldset class="ends" aria-label={say().endTime}>
          <legend>{say().endTime}</legend>
          <div class="choices">
            <For each={[...HOURS, 0]}>
              {(n) => (
                <button
                  type="button"
                  class="choice-button"
                  aria-pressed={hours() === n}
                  onClick={() => setHours(n)}
                >
                  {n > 0 ? say().hours(n) : say().otherEnd}
                </button>
              )}
            </For>
          </div>
          <Show when={hours() === 0}>
            <Field label={say().endAt}>
              <input
                type="datetime-local"
                value={end()}
                onInput={(event) => setEnd(event.currentTarget.value)}
              />
            </Field>
          </Show>
        </fieldset>
        <section class="told">
          <h3>{say().willTell}</h3>
          <ul>
            <For each={told()}>
              {(desk) => (
                <li>
                  <Icon node={Building2} size={20} />
                  <b>{say().deskOf(desk.name, border.sideName(desk.side))}</b>
                  <There desk={desk.id} />
                  <span class="end">{desk.hours}</span>
                </li>
              )}
            </For>
            <li>
              <Icon node={ShieldCheck} size={20} />
              <b>{say().pointsOf(points())}</b>
              <span class="end">{say().bothSides}</span>
            </li>
          </ul>
        </section>
      </div>
      <div class="act">
        <Show when={error()} fallback={<p class="act-note">{say().traced}</p>}>
          <p class="field-error" role="alert">
            {error()}
          </p>
        </Show>
        <button
          type="submit"
          class="button button-primary button-wide"
          disabled={!ready() || busy()}
        >
          <Icon node={Send} size={20} />
          {say().send}
        </button>
      </div>
    </form>
  );
}
