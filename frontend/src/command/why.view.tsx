/**
 * The panel of one unit, read downward as an argument: who, how much, why, exposures, since when, compared
 * with whom, act.
 */
import { ClipboardCheck, Download, Link, X } from "lucide";
import { createMemo, createSignal, For, Match, Show, Switch } from "solid-js";
import { addresses, Failure } from "../api/client";
import type { RateChange, Why } from "../api/models";
import type { Alert } from "../api/tasks";
import { RatioInterval, WaterfallChart } from "../charts/charts";
import { count, expectedCount, measured, percent, probability, ratio } from "../charts/numbers";
import { waterfall } from "../charts/waterfall";
import { drillTarget, levelIndex } from "../state/levels";
import { AlertNote } from "./alert.view";
import { canMake, taskOf } from "./alert-rules";
import { Chip, Was } from "./chip.view";
import { Icon } from "./icon";
import { kindName } from "./kind-names";
import { type Model, useModel } from "./model";
import { RankingPanel } from "./ranking.view";
import { UnitSeries } from "./series.view";
import { Settled } from "./states.view";

export { SPAN } from "./series.view";

const NAMED = 4;

export function WhyPanel(props: {
  onPick: (code: string) => void;
  onEnter: (code: string) => void;
  onClose: () => void;
}) {
  const model = useModel();
  const words = model.words;
  return (
    <article class="panel-body" aria-label={words().sheet}>
      <UnitHead onClose={props.onClose} onEnter={props.onEnter} />
      <Settled answer={model.why} what={words().failedWhy} rows={8}>
        {(why) => (
          <>
            <KeyFigures why={why()} />
            <AlertNote />
            <Reasons why={why()} />
            <Exposures why={why()} />
          </>
        )}
      </Settled>
      <SinceWhen />
      <RankingPanel onPick={props.onPick} />
      <Actions />
    </article>
  );
}

function UnitHead(props: { onClose: () => void; onEnter: (code: string) => void }) {
  const model = useModel();
  const words = model.words;
  const unit = () => model.selected.data();
  const path = () =>
    unit()
      ?.ancestors.slice(-2)
      .map((one) => model.nameOf(one))
      .join(" ");
  const level = () => {
    const found = model.map().levels[levelIndex(model.map(), unit()?.level ?? "")];
    return found ? model.title(found.title) : "";
  };
  const target = () => {
    const one = unit();
    return one ? drillTarget(model.map(), model.scopeIndex(), one, one.ancestors) : null;
  };
  return (
    <header class="unit-head">
      <div class="unit-title">
        <h2>{unit() ? model.nameOf(unit() as never) : model.view.state.unit}</h2>
        <Show when={model.why.data()}>
          {(why) => (
            <>
              <Chip colour={why().colour} />
              <Was now={why().colour} before={why().previous_colour} />
            </>
          )}
        </Show>
        <button
          type="button"
          class="icon-button end"
          title={words().close}
          aria-label={words().close}
          onClick={props.onClose}
        >
          <Icon node={X} />
        </button>
      </div>
      <p class="unit-sub">
        <span class="code">{grouped(model.view.state.unit)}</span>
        <Show when={path()}> · {path()}</Show>
        <Show when={level()}> · {level()}</Show>
        <Show when={target()}>
          {(to) => (
            <button type="button" class="link" onClick={() => props.onEnter(to().code)}>
              {words().enter(model.nameOf(to()))}
            </button>
          )}
        </Show>
      </p>
    </header>
  );
}

/** 330110 010 001: the first six, then threes. */
export function grouped(code: string): string {
  if (!/^\d{7,}$/.test(code)) return code;
  return [code.slice(0, 6), ...(code.slice(6).match(/.{1,3}/g) ?? [])].join(" ");
}

export function KeyFigures(props: { why: Why }) {
  const model = useModel();
  const words = model.words;
  return (
    <Show when={props.why.estimate} fallback={<p class="no-data-note">{words().noDataUnit}</p>}>
      {(estimate) => (
        <dl class="figures">
          <div>
            <dt>
              {words().relativeRisk}
              {words().bracket(words().interval95)}
            </dt>
            <dd>
              <b data-testid="theta">{ratio(estimate().theta)}</b>{" "}
              <span>
                {ratio(estimate().low)}–{ratio(estimate().high)}
              </span>
            </dd>
          </div>
          <div>
            <dt>{words().observedExpected}</dt>
            <dd>
              <b>{count(props.why.observed)}</b>{" "}
              <span>
                / {expectedCount(props.why.expected)}{" "}
                <span class="unit-word">{words().eventsWord}</span>
              </span>
            </dd>
          </div>
        </dl>
      )}
    </Show>
  );
}

export function Reasons(props: { why: Why }) {
  const model = useModel();
  const words = model.words;
  const [all, setAll] = createSignal(false);
  const data = createMemo(() => waterfall(props.why, all() ? 99 : NAMED));
  const name = (id: string, merged: number) => {
    if (id === "rest") return words().rest(merged);
    if (id === "period") return words().thisPeriodPart;
    if (id === "memory") return words().memoryPart;
    return kindName(model, id);
  };
  return (
    <Show when={data()}>
      {(steps) => (
        <section class="block reasons">
          <h3>
            <span>{words().whyColour(props.why.colour)}</span>
            <span>
              P(θ&gt;1) {probability(props.why.estimate?.p ?? 0)} ·{" "}
              {words().rule(props.why.rule_version)}
            </span>
          </h3>
          <WaterfallChart data={steps()} nameOf={name} words={words()} colour={props.why.colour} />
          <Show when={props.why.contributions.length > NAMED + 1}>
            <button type="button" class="link" onClick={() => setAll(!all())}>
              {all() ? words().fewerKinds : words().allKinds}
            </button>
          </Show>
          <p class="memory">{memoryText(model, props.why)}</p>
          <Changes why={props.why} />
          <For each={notes(model, props.why)}>{(note) => <p class="flag">{note}</p>}</For>
        </section>
      )}
    </Show>
  );
}

/** Single-period ratio, what is remembered, the prior: the numbers θ is made of, in words. */
export function memoryText(model: Model, why: Why): string {
  const words = model.words();
  const out = [words.single(ratio(why.single_ratio), words.thisPeriod[model.view.state.period])];
  const share = why.memory_share ?? 0;
  if (share > 0.0005 && why.remembered_observed !== null) {
    out.push(
      words.memory(
        expectedCount(why.remembered_observed),
        expectedCount(why.remembered_expected),
        percent(share, 0),
      ),
    );
  } else out.push(words.memoryNone);
  if (why.alpha !== null) out.push(words.prior(expectedCount(why.alpha)));
  return out.join(words.semicolon) + words.stop;
}

function notes(model: Model, why: Why): string[] {
  const words = model.words();
  const out: string[] = [];
  if (why.veto_kinds.length > 0 && why.flags.includes("veto")) {
    const kinds = why.veto_kinds.map((one) => kindName(model, one)).join(words.and);
    out.push(words.veto(kinds, words.colours[why.colour]));
  }
  if (why.history_dropped) out.push(words.memoryDropped);
  for (const flag of why.flags) {
    const text = words.flags[flag];
    if (text && flag !== "history_dropped") out.push(text);
  }
  return out;
}

function Changes(props: { why: Why }) {
  const model = useModel();
  const words = model.words;
  const rows = (): [string, RateChange | null][] => [
    [words().versusPrevious[model.view.state.period], props.why.previous],
    ...(model.view.state.period === "year"
      ? []
      : ([[words().versusLastYear, props.why.last_year]] as [string, RateChange | null][])),
  ];
  return (
    <dl class="changes">
      <For each={rows()}>
        {([label, change]) => (
          <div>
            <dt>{label}</dt>
            <dd>
              <Show
                when={change?.ratio !== null && change}
                fallback={<span class="note">{change ? words().few : "—"}</span>}
              >
                {(one) => (
                  <>
                    <RatioInterval
                      ratio={one().ratio as number}
                      low={one().low}
                      high={one().high}
                    />
                    <b>{ratio(one().ratio)}×</b>
                  </>
                )}
              </Show>
            </dd>
          </div>
        )}
      </For>
    </dl>
  );
}

export function Exposures(props: { why: Why }) {
  const model = useModel();
  const words = model.words;
  const shown = () =>
    model
      .map()
      .measures.filter((one) => one.id in props.why.exposures)
      .slice(0, 4);
  return (
    <dl class="exposures">
      <For each={shown()}>
        {(measure) => (
          <div>
            <dt>{model.title(measure.title)}</dt>
            <dd>
              <Show when={props.why.exposures[measure.id] !== null} fallback={words().missing}>
                {measured(props.why.exposures[measure.id])}
                <small>{model.title(measure.unit)}</small>
              </Show>
            </dd>
          </div>
        )}
      </For>
      <Show when={props.why.complexity !== null}>
        <div title={words().complexityNote}>
          <dt>{words().complexity}</dt>
          <dd>{count(props.why.complexity)}</dd>
        </div>
      </Show>
    </dl>
  );
}

function SinceWhen() {
  const model = useModel();
  const words = model.words;
  const period = () => model.view.state.period;
  return (
    <section class="block">
      <h3>
        <span>{words().spanOf[period()]}</span>
        <span>{words().lastYearSeries}</span>
      </h3>
      <Settled answer={model.series} what={words().spanOf[period()]} rows={3}>
        {() => <UnitSeries height={112} />}
      </Settled>
    </section>
  );
}

export function Actions() {
  const model = useModel();
  const words = model.words;
  const [copied, setCopied] = createSignal(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(model.view.link());
    } catch {
      // Without a secure origin there is no clipboard: select the address for the reader instead.
      window.prompt(words().link, model.view.link());
      return;
    }
    setCopied(true);
    setTimeout(() => setCopied(false), 2000);
  };
  const address = () => {
    const { within: _within, ...question } = model.question();
    return addresses.export({ ...question, level: model.rankingLevel().id }, "csv");
  };
  const act = taskAct(model);
  return (
    <footer class="actions">
      <TaskButton act={act()} />
      <a
        class="button"
        classList={{ "button-primary": act() === null }}
        href={address()}
        download=""
        title={words().csvTitle}
      >
        <Icon node={Download} />
        {words().csv}
      </a>
      <button type="button" class="button" onClick={copy}>
        <Icon node={Link} />
        {words().link}
      </button>
      <span role="status" class="note">
        {copied() ? words().linkDone : ""}
      </span>
    </footer>
  );
}

/** What the one black button does: make a patrol task of the alert, or open the one there is. */
type TaskAct = { kind: "make"; alert: Alert } | { kind: "open"; task: number } | null;

function taskAct(model: Model): () => TaskAct {
  return createMemo((): TaskAct => {
    const alert = model.alerts.alert();
    if (!alert || model.view.state.unit === "") return null;
    if (canMake(alert)) return model.alerts.dispatch() ? { kind: "make", alert } : null;
    const task = taskOf(alert);
    return task && model.alerts.work() ? { kind: "open", task: task.id } : null;
  });
}

function TaskButton(props: { act: TaskAct }) {
  const model = useModel();
  const { words, view } = model;
  const [busy, setBusy] = createSignal(false);
  const [failed, setFailed] = createSignal("");
  const make = async (alert: Alert) => {
    setBusy(true);
    setFailed("");
    const made = await model.alerts.make(alert);
    // somebody else may have been first: then there is a task, and the button leads to it
    if (made instanceof Failure && made.status !== 409) setFailed(made.message);
    setBusy(false);
  };
  const page = (task: number) => {
    const parts = new URLSearchParams();
    const { map, lang, theme, palette, pattern } = view.state;
    if (map) parts.set("map", map);
    if (theme !== "light") parts.set("theme", theme);
    if (lang !== "zh") parts.set("lang", lang);
    if (palette !== "standard") parts.set("palette", palette);
    if (pattern) parts.set("pattern", "1");
    parts.set("task", String(task));
    return `/tasks#${parts}`;
  };
  return (
    <>
      <Show when={failed()}>
        <span class="note" role="alert">
          {words().failedAnswer(failed())}
        </span>
      </Show>
      <Switch>
        <Match when={props.act?.kind === "make" && props.act}>
          {(act) => (
            <button
              type="button"
              class="button button-primary"
              disabled={busy()}
              onClick={() => make(act().alert)}
            >
              <Icon node={ClipboardCheck} />
              {words().makeTask}
            </button>
          )}
        </Match>
        <Match when={props.act?.kind === "open" && props.act}>
          {(act) => (
            <a class="button button-primary" href={page(act().task)}>
              <Icon node={ClipboardCheck} />
              {words().openTask}
            </a>
          )}
        </Match>
      </Switch>
    </>
  );
}
