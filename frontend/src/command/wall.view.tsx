/**
 * The wall: no controls; language and scope come with its link. The selected unit changes every 30 s, the
 * map's extent never.
 */
import { createEffect, createMemo, createSignal, For, onCleanup, Show } from "solid-js";
import { CLASSES } from "../api/models";
import { WaterfallChart } from "../charts/charts";
import { count, expectedCount, percent, probability, ratio } from "../charts/numbers";
import { waterfall } from "../charts/waterfall";
import { periodName } from "../state/periods";
import { clock, moment } from "../state/times";
import { Swatch } from "./chip.view";
import { ClassTrend } from "./class-trend.view";
import { kindName } from "./kind-names";
import { Badges } from "./kinds.view";
import { hasLoop, LiveFeed, LoopHealth } from "./loop.view";
import { Mark } from "./mark";
import { useModel } from "./model";
import { RankList } from "./ranking.view";
import { Headline, KindTable, Trend } from "./scope.view";
import { UnitSeries } from "./series.view";
import { StaleStrip } from "./stale.view";
import { Settled } from "./states.view";
import { WallMap } from "./wall-map.view";

const ROTATE_MS = 30_000;
const ROWS = 10;

export function WallView(props: { lost: boolean }) {
  const model = useModel();
  const { view, words } = model;
  const [now, setNow] = createSignal(new Date());
  const [scale, setScale] = createSignal(rootScale());
  const tick = setInterval(() => setNow(new Date()), 5000);
  const resized = () => setScale(rootScale());
  addEventListener("resize", resized);
  onCleanup(() => {
    clearInterval(tick);
    removeEventListener("resize", resized);
  });

  const rows = createMemo(() => (model.ranking.data()?.rows ?? []).slice(0, ROWS));
  /** What is worth a look: red and orange units, else the first five. */
  const turn = createMemo(() => {
    const warm = rows().filter((row) => row.colour === "red" || row.colour === "orange");
    return (warm.length > 0 ? warm : rows().slice(0, 5)).map((row) => row.unit.code);
  });
  createEffect(() => {
    const codes = turn();
    if (codes.length === 0) return;
    if (!codes.includes(view.state.unit) && view.state.unit === "") {
      view.go({ unit: codes[0] as string }, "replace");
    }
    const timer = setInterval(() => {
      const next = codes[(codes.indexOf(view.state.unit) + 1) % codes.length];
      if (next) view.go({ unit: next }, "replace");
    }, ROTATE_MS);
    onCleanup(() => clearInterval(timer));
  });

  return (
    <div class="wall">
      <header class="wall-top">
        <Mark />
        <h1>
          {words().wallTitle(
            model.scopeName(),
            model.title(model.map().scene_title),
            kindName(model, model.kind().id),
          )}
          <b>{periodName(view.state.period, model.periodInfo().start, view.state.lang)}</b>
        </h1>
        <Badges />
        <span class="wall-run">
          {words().run(model.map().run)}
          <Show when={model.map().data_cutoff}>
            {(at) => <> · {words().asOf(moment(at(), model.map().time_zone, now()))}</>}
          </Show>
        </span>
        <time class="wall-clock">{clock(now(), model.map().time_zone)}</time>
      </header>
      <section class="wall-left">
        <Headline class="wall-headline" />
        <Settled answer={model.summary} what={words().failedSummary} rows={12}>
          {(summary) => (
            <>
              <Counts />
              <KindTable summary={summary()} />
            </>
          )}
        </Settled>
      </section>
      <main class="wall-centre">
        <StaleStrip lost={props.lost} />
        <WallMap scale={scale()} />
      </main>
      <section class="wall-bottom">
        <Show when={model.summary.data()}>
          {(summary) => (
            <>
              <Trend summary={summary()} width={hasLoop(model) ? 400 : 470} height={150} />
              <Show
                when={hasLoop(model)}
                fallback={
                  <>
                    <ClassTrend summary={summary()} />
                    <DataQuality />
                  </>
                }
              >
                <LiveFeed />
                <LoopHealth />
              </Show>
            </>
          )}
        </Show>
      </section>
      <section class="wall-right">
        <h2 class="wall-title">
          <span>
            {words().ranking}
            {words().bracket(words().interval90)}
          </span>
          <span>{words().relativeRisk}</span>
        </h2>
        <Settled answer={model.ranking} what={words().ranking} rows={ROWS}>
          {(data) => (
            <>
              <RankList
                rows={rows()}
                of={data().of}
                onPick={(code) => view.go({ unit: code }, "replace")}
              />
              <p class="wall-note">{words().rankOverlap}</p>
            </>
          )}
        </Settled>
        <UnitWhy />
      </section>
    </div>
  );
}

/** Size against 1920 × 1080: the same rule as the type size of the wall in wall.css. */
function rootScale(): number {
  return Math.min(innerWidth / 1920, innerHeight / 1080);
}

/** Class counts with the change: the wall's legend. */
function Counts() {
  const model = useModel();
  const words = model.words;
  const counts = () => model.summary.data()?.counts ?? [];
  const total = () => counts().reduce((sum, one) => sum + one.count, 0);
  const change = (n: number | null | undefined) => {
    if (n === null || n === undefined) return "";
    if (n === 0) return "—";
    return `${n > 0 ? "▲" : "▼"}${count(Math.abs(n))}`;
  };
  return (
    <section class="wall-counts">
      <h2 class="wall-title">
        <span>
          {model.title(model.level().title)} {words().units(count(total()))}
        </span>
        <span>{words().versusPrevious[model.view.state.period]}</span>
      </h2>
      <ul>
        <For each={CLASSES}>
          {(colour) => {
            const one = () => counts().find((entry) => entry.colour === colour);
            return (
              <li>
                <Swatch colour={colour} wide />
                <b>{words().colours[colour]}</b>
                <span class="meaning">{words().meanings[colour]}</span>
                <span class="n">{count(one()?.count ?? 0)}</span>
                <span class="change">{change(one()?.change)}</span>
              </li>
            );
          }}
        </For>
      </ul>
    </section>
  );
}

/** How well the numbers are placed: said, not hidden. */
function DataQuality() {
  const model = useModel();
  const words = model.words;
  const share = () => model.summary.data()?.grid_share ?? model.map().grid_share;
  const total = () =>
    model.summary
      .data()
      ?.kinds.filter((one) => one.kind !== "overall")
      .reduce((sum, one) => sum + one.observed, 0);
  const finest = () => model.map().levels.at(-1);
  return (
    <section class="block wall-quality">
      <h3>
        <span>{words().dataQuality}</span>
      </h3>
      <dl>
        <div>
          <dt>{words().thisPeriod[model.view.state.period]}</dt>
          <dd>{words().events(count(total()))}</dd>
        </div>
        <Show when={finest() && share() !== null}>
          <div>
            <dt>{words().locatedTo(model.title(finest()?.title ?? { zh: "", en: "" }))}</dt>
            <dd>{percent(share())}</dd>
          </div>
        </Show>
        <div>
          <dt>{words().boundaryWord}</dt>
          <dd>{model.map().boundary_version}</dd>
        </div>
        <div>
          <dt>{words().ruleWord}</dt>
          <dd>v{model.map().rule.version}</dd>
        </div>
      </dl>
    </section>
  );
}

function UnitWhy() {
  const model = useModel();
  const words = model.words;
  const data = createMemo(() => {
    const why = model.why.data();
    return why ? waterfall(why, 4) : null;
  });
  const name = (id: string, merged: number) => {
    if (id === "rest") return words().rest(merged);
    if (id === "period") return words().thisPeriodPart;
    if (id === "memory") return words().memoryPart;
    return kindName(model, id);
  };
  return (
    <Show when={model.why.data()}>
      {(why) => (
        <section class="wall-why">
          <h2 class="wall-title">
            <span>
              {words().whyColour(why().colour)}
              {words().colon}
              <b>{model.nameOf(why().unit)}</b>
            </span>
            <span>P {probability(why().estimate?.p ?? 0)}</span>
          </h2>
          <Show when={data()}>
            {(steps) => (
              <WaterfallChart data={steps()} nameOf={name} words={words()} colour={why().colour} />
            )}
          </Show>
          <Show when={why().estimate}>
            {(estimate) => (
              <p class="wall-note">
                {words().interval95} {ratio(estimate().low)}–{ratio(estimate().high)} ·{" "}
                {words().observed} {count(why().observed)}
                {words().comma}
                {words().expected} {expectedCount(why().expected)}
              </p>
            )}
          </Show>
          <UnitSeries height={96} />
        </section>
      )}
    </Show>
  );
}
