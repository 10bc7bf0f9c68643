/** One check: how long, who accepted, every step, and what one can do now. */
import { Clock, Check as Tick, X } from "lucide";
import { createMemo, createSignal, For, Show } from "solid-js";
import { Icon } from "../command/icon";
import { away } from "../offline/offline";
import { leftText, shareOver } from "./format";
import { isRunning, useBorder } from "./model";
import { Field, Head, Scroll, useTimes } from "./parts.view";
import { stepsOf } from "./steps";
import type { Check } from "./types";

export function CheckView(props: { id: number }) {
  const border = useBorder();
  const { say } = border;
  const check = createMemo(() => border.checks.value()?.checks.find((one) => one.id === props.id));
  const time = useTimes();
  const state = (one: Check) => {
    const alive = isRunning(one, border.now());
    const word =
      say().states[
        !alive && one.state !== "declined" && one.state !== "closed" ? "expired" : one.state
      ];
    const at = border.checks.at();
    return away() && at ? say().stateAt(word, time(at)) : word;
  };
  return (
    <div class="panel-body check-page">
      <Show
        when={check()}
        fallback={
          <>
            <Head title={say().check} />
            <p class="state">{border.checks.value() ? say().checkGone : say().loading}</p>
          </>
        }
      >
        {(one) => (
          <>
            <Head title={say().check}>
              <span class="state-badge" data-testid="check-state">
                {state(one())}
              </span>
            </Head>
            <Scroll label={say().check}>
              <Sum check={one()} />
              <Sides check={one()} />
              <Steps check={one()} />
            </Scroll>
            <Acts check={one()} />
          </>
        )}
      </Show>
    </div>
  );
}

function Sum(props: { check: Check }) {
  const border = useBorder();
  const { say, now } = border;
  return (
    <>
      <div class="check-sum">
        <div>
          <p>{props.check.zone_name}</p>
          <h3>{props.check.reference}</h3>
          <p>{props.check.reason}</p>
        </div>
        <Show when={isRunning(props.check, now())}>
          <div class="check-left">
            <p>{say().left}</p>
            <p class="key">{leftText(props.check.ends_at, now())}</p>
          </div>
        </Show>
      </div>
      <div class="progress" aria-hidden="true">
        <i
          style={{
            width: `${100 * shareOver(props.check.opened_at, props.check.ends_at, now())}%`,
          }}
        />
      </div>
    </>
  );
}

function Sides(props: { check: Check }) {
  const border = useBorder();
  const { say } = border;
  const time = useTimes();
  const after = (at: string) => {
    const seconds = (new Date(at).getTime() - new Date(props.check.opened_at).getTime()) / 1000;
    return say().after(
      seconds < 90
        ? say().seconds(Math.max(0, Math.round(seconds)))
        : say().minutes(Math.round(seconds / 60)),
    );
  };
  return (
    <ul class="check-sides">
      <For each={props.check.sides}>
        {(side) => (
          <li data-side={side.side}>
            <p>{border.sideName(side.side)}</p>
            <b>
              <Icon node={side.answer === "accept" ? Tick : side.answer ? X : Clock} size={20} />
              {side.answer === "accept"
                ? say().accepted
                : side.answer
                  ? say().declined
                  : say().waits}
            </b>
            <Show when={side.at}>
              {(at) => (
                <p>
                  {time(at())} · {after(at())}
                </p>
              )}
            </Show>
            <Show when={side.reason}>
              <p>{side.reason}</p>
            </Show>
          </li>
        )}
      </For>
    </ul>
  );
}

function Steps(props: { check: Check }) {
  const border = useBorder();
  const { say } = border;
  const time = useTimes();
  const queued = () =>
    border.outbox.actions().filter((one) => one.of === `check ${props.check.id}` && !one.refused);
  return (
    <ol class="steps" data-testid="steps">
      <For each={stepsOf(props.check, say(), border.sideName)}>
        {(one) => (
          <li>
            <i class="step-dot">
              <Icon node={Tick} />
            </i>
            <span>
              <b>{one.title}</b>
              <Show when={one.sub}>
                <span>{one.sub}</span>
              </Show>
            </span>
            <time class="end">{time(one.at)}</time>
          </li>
        )}
      </For>
      <For each={queued()}>
        {(one) => (
          <li class="step-queued">
            <i class="step-dot" />
            <span>
              <b>{one.title}</b>
              <span>{away() ? say().queuedStep : say().sending}</span>
            </span>
            <time class="end">{time(one.at)}</time>
          </li>
        )}
      </For>
      <Show when={props.check.state === "running" && isRunning(props.check, border.now())}>
        <li class="step-waiting">
          <i class="step-dot" />
          <span>
            <b>{say().checkpoints}</b>
            <span>{say().waitsReport}</span>
          </span>
        </li>
      </Show>
    </ol>
  );
}

type Answer = "accept" | "decline" | "hit" | "no_hit" | "close";

function Acts(props: { check: Check }) {
  const border = useBorder();
  const { say } = border;
  const [declining, setDeclining] = createSignal(false);
  const [reason, setReason] = createSignal("");
  const [point, setPoint] = createSignal("");
  const [place, setPlace] = createSignal("");
  const [error, setError] = createSignal("");
  const alive = () => isRunning(props.check, border.now());
  const queued = (answer: string) =>
    border.outbox
      .actions()
      .some(
        (one) =>
          one.of === `check ${props.check.id}` &&
          !one.refused &&
          (one.body as { answer?: string })?.answer === answer,
      );
  const waiting = () =>
    queued("accept") || queued("decline") ? [] : border.unanswered(props.check);
  const mine = () =>
    props.check.sides
      .filter(
        (one) => border.own().includes(one.side) && (one.answer === "accept" || queued("accept")),
      )
      .map((one) => one.side);
  const points = () =>
    (border.checkpoints.value() ?? []).filter((one) => mine().includes(one.side));
  const say2 = async (answer: Answer, side: string, more: object = {}) => {
    setError("");
    const title = `${say().steps[answer] ?? answer} · ${props.check.reference}`;
    const result = await border.outbox.submit({
      method: "POST",
      address: `/api/checks/${props.check.id}/answers`,
      body: { answer, side, at: happened(), ...more },
      title,
      of: `check ${props.check.id}`,
    });
    if (result.kind === "refused") {
      setError(say().refusedOne(result.no.message));
      await border.outbox.drop(result.action.key);
    }
    border.checks.reload();
  };
  /** Now, by the server's clock; never before the check was opened. */
  const happened = () =>
    new Date(
      Math.max(border.moment().getTime(), Date.parse(props.check.opened_at) + 1),
    ).toISOString();
  const report = (answer: "hit" | "no_hit") => {
    const found = points().find((one) => one.code === point());
    void say2(answer, found?.side ?? (mine()[0] as string), {
      place: place(),
      ...(found ? { checkpoint: found.code } : {}),
    });
    setPlace("");
  };
  return (
    <Show when={alive() && border.may("check:write")}>
      <div class="act check-acts">
        <Show when={error()}>
          <p class="field-error" role="alert">
            {error()}
          </p>
        </Show>
        <Show when={waiting()[0]}>
          {(side) => (
            <>
              <Show when={declining()}>
                <Field label={say().declineReason}>
                  <input
                    value={reason()}
                    maxLength={200}
                    onInput={(event) => setReason(event.currentTarget.value)}
                  />
                </Field>
              </Show>
              <div class="two">
                <button
                  type="button"
                  class="button button-wide"
                  disabled={declining() && reason().trim() === ""}
                  onClick={() => {
                    if (!declining()) setDeclining(true);
                    else
                      void say2("decline", side(), { reason: reason() }).then(() =>
                        setDeclining(false),
                      );
                  }}
                >
                  {say().decline}
                </button>
                <button
                  type="button"
                  class="button button-primary button-wide"
                  onClick={() => say2("accept", side())}
                >
                  {say().accept}
                </button>
              </div>
            </>
          )}
        </Show>
        <Show when={waiting().length === 0 && mine().length > 0}>
          <div class="report-fields">
            <Field label={say().atCheckpoint}>
              <select value={point()} onChange={(event) => setPoint(event.currentTarget.value)}>
                <option value="">{say().noPoint}</option>
                <For each={points()}>{(one) => <option value={one.code}>{one.name}</option>}</For>
              </select>
            </Field>
            <Field label={say().place}>
              <input
                value={place()}
                maxLength={120}
                placeholder={say().placeHint}
                onInput={(event) => setPlace(event.currentTarget.value)}
              />
            </Field>
          </div>
          <div class="two">
            <button type="button" class="button button-wide" onClick={() => report("no_hit")}>
              {say().noHit}
            </button>
            <button
              type="button"
              class="button button-primary button-wide"
              onClick={() => report("hit")}
            >
              {say().hit}
            </button>
          </div>
        </Show>
        <Show when={border.own().includes(props.check.side)}>
          <button
            type="button"
            class="link act-link"
            onClick={() => say2("close", props.check.side)}
          >
            {say().closeCheck}
          </button>
        </Show>
      </div>
    </Show>
  );
}
