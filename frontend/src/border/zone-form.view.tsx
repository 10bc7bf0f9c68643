/** A new zone, or a new version of one: member units of two sides, metres on the line or a drawn ground. */
import { createMemo, createSignal, For, onCleanup, Show } from "solid-js";
import { membersOf } from "./members";
import { useBorder } from "./model";
import { Field, Head, SideChoice } from "./parts.view";
import type { ZoneDetail } from "./types";

export function ZoneForm(props: { zone?: number }) {
  const border = useBorder();
  const { say, draft } = border;
  const known = () => border.zones.value()?.zones.find((one) => one.id === props.zone);
  const lines = () => border.lines.value()?.lines ?? [];
  const [name, setName] = createSignal("");
  const [line, setLine] = createSignal(-1);
  const [chosen, setChosen] = createSignal<readonly string[] | null>(null);
  const [drawn, setDrawn] = createSignal(false);
  const [metres, setMetres] = createSignal(3000);
  const [until, setUntil] = createSignal("");
  const [note, setNote] = createSignal("");
  const [side, setSide] = createSignal("");
  const [error, setError] = createSignal("");
  const [busy, setBusy] = createSignal(false);
  /** The line of the zone there is, else the first. */
  const lineAt = () => {
    if (line() >= 0) return line();
    const sides = known()?.sides ?? [];
    const found = lines().findIndex(
      (one) => sides.includes(one.side_a.code) && sides.includes(one.side_b.code),
    );
    return Math.max(0, found);
  };
  const codes = () => chosen() ?? known()?.version?.units ?? [];
  const [seen, setSeen] = createSignal(0);
  const timer = setInterval(() => setSeen((n) => n + 1), 1500);
  onCleanup(() => clearInterval(timer));
  // rows that did not change stay: one is about to be ticked
  const members = createMemo(
    () => {
      seen();
      return membersOf(lines()[lineAt()], border.frame.map(), border.frame.view.state.lang);
    },
    undefined,
    { equals: (a, b) => JSON.stringify(a) === JSON.stringify(b) },
  );
  const speaking = () => {
    const at = lines()[lineAt()];
    const own = border.own();
    const sides = at ? [at.side_a.code, at.side_b.code].filter((one) => own.includes(one)) : [];
    return { sides, side: side() || sides[0] || "" };
  };
  const wrong = () => {
    if (!props.zone && name().trim() === "") return say().needName;
    const at = lines()[lineAt()];
    const sides = at ? [at.side_a.code, at.side_b.code] : [];
    if (!sides.every((one) => codes().some((code) => code.startsWith(one)))) return say().needBoth;
    if (drawn() && !draft.outline()) return say().needOutline;
    return "";
  };
  const drafted = (state: "draft" | "proposed") => {
    const version = {
      units: codes(),
      ...(drawn() ? { area: draft.outline() } : { metres: metres() }),
      valid_to: until() ? new Date(until()).toISOString() : null,
      note: note(),
      state,
      side: speaking().side || null,
    };
    return {
      method: "POST" as const,
      address: props.zone ? `/api/zones/${props.zone}/versions` : "/api/zones",
      body: props.zone
        ? version
        : { ...version, pack: border.frame.map().pack, name: name().trim() },
      title: `${props.zone ? say().changeZone : say().newZone} · ${name() || (known()?.name ?? "")}`,
      of: "zone-new",
    };
  };
  const submit = async (state: "draft" | "proposed") => {
    if (wrong() !== "" || busy()) return;
    setBusy(true);
    setError("");
    const result = await border.outbox.submit(drafted(state));
    setBusy(false);
    if (result.kind === "refused") {
      await border.outbox.drop(result.action.key);
      setError(say().refusedOne(result.no.message));
      return;
    }
    border.zones.reload();
    const made = result.kind === "sent" ? (result.value as ZoneDetail | null) : null;
    if (made) border.open({ what: "zone", id: made.id }, "replace");
    else border.close();
  };
  const toggle = (code: string) => {
    const now = codes();
    setChosen(now.includes(code) ? now.filter((one) => one !== code) : [...now, code]);
  };
  return (
    <form class="panel-body zone-form" onSubmit={(event) => event.preventDefault()}>
      <Head title={props.zone ? say().changeZone : say().newZone} />
      <div class="panel-scroll">
        <Show when={!props.zone} fallback={<h3 class="zone-name">{known()?.name}</h3>}>
          <Field label={say().zoneName}>
            <input
              name="name"
              value={name()}
              maxLength={80}
              autocomplete="off"
              onInput={(event) => setName(event.currentTarget.value)}
            />
          </Field>
        </Show>
        <Field label={say().pickLine}>
          <select
            value={lineAt()}
            onChange={(event) => {
              setLine(Number(event.currentTarget.value));
              setChosen([]);
            }}
          >
            <For each={lines()}>
              {(one, index) => (
                <option value={index()}>
                  {say().line(border.sideName(one.side_a.code), border.sideName(one.side_b.code))}
                </option>
              )}
            </For>
          </select>
        </Field>
        <SideChoice sides={speaking().sides} value={speaking().side} onChoose={setSide} />
        <fieldset class="members">
          <legend>{say().pickMembers}</legend>
          <Show when={members().length === 0}>
            <p class="note">{say().membersNone}</p>
          </Show>
          <ul>
            <For each={members()}>
              {(one) => (
                <li>
                  <label>
                    <input
                      type="checkbox"
                      value={one.code}
                      checked={codes().includes(one.code)}
                      onChange={() => toggle(one.code)}
                    />
                    {one.name}
                    <span class="note">{border.sideName(one.side)}</span>
                  </label>
                </li>
              )}
            </For>
          </ul>
        </fieldset>
        <fieldset class="ground-choice">
          <legend>{say().ground}</legend>
          <label>
            <input type="radio" name="ground" checked={!drawn()} onChange={() => setDrawn(false)} />
            {say().byMetres}
          </label>
          <label>
            <input
              type="radio"
              name="ground"
              checked={drawn()}
              onChange={() => {
                setDrawn(true);
                if (!draft.outline()) draft.setDrawing(true);
              }}
            />
            {say().byHandDrawn}
          </label>
          <Show
            when={drawn()}
            fallback={
              <Field label={say().metresWord}>
                <input
                  type="number"
                  min={50}
                  max={50_000}
                  step={50}
                  value={metres()}
                  onInput={(event) => setMetres(Number(event.currentTarget.value))}
                />
              </Field>
            }
          >
            <p class="note" role="status">
              {draft.drawing()
                ? say().drawHint
                : say().drawDone(Math.max(0, (draft.outline()?.coordinates[0]?.length ?? 1) - 1))}
            </p>
            <button
              type="button"
              class="button"
              onClick={() => {
                draft.setOutline(null);
                draft.setDrawing(false);
                draft.setDrawing(true);
              }}
            >
              {say().drawAgain}
            </button>
          </Show>
        </fieldset>
        <Field label={`${say().validity} · ${say().until("…")}`}>
          <input
            type="datetime-local"
            value={until()}
            onInput={(event) => setUntil(event.currentTarget.value)}
          />
        </Field>
        <Field label={say().note}>
          <input
            value={note()}
            maxLength={500}
            onInput={(event) => setNote(event.currentTarget.value)}
          />
        </Field>
      </div>
      <div class="act">
        <Show when={error()} fallback={<p class="act-note">{wrong()}</p>}>
          <p class="field-error" role="alert">
            {error()}
          </p>
        </Show>
        <div class="two">
          <button
            type="button"
            class="button button-wide"
            disabled={wrong() !== "" || busy()}
            onClick={() => submit("draft")}
          >
            {say().saveDraft}
          </button>
          <button
            type="button"
            class="button button-primary button-wide"
            disabled={wrong() !== "" || busy()}
            onClick={() => submit("proposed")}
          >
            {say().saveProposed}
          </button>
        </div>
      </div>
    </form>
  );
}
