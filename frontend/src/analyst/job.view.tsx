/** One job: how far it is, what it found, how it was made, and the ways on from it. */
import { createSignal, For, Match, Show, Switch } from "solid-js";
import { createAnswer } from "../api/answer";
import { Failure } from "../api/client";
import {
  type DensityResult,
  type EmergingResult,
  type ForecastResult,
  type ForecastScore,
  type GiResult,
  isOpen,
  type Job,
  type JobResult,
  jobs,
  type KnoxResult,
  type ScanResult,
} from "../api/jobs";
import { count, expectedCount, percent, ratio } from "../charts/numbers";
import { useFrame } from "../command/frame";
import { moment } from "../state/times";
import { plain, useAsk } from "./ask";
import { parse, serialise } from "./state";

export function JobCard(props: {
  job: () => Job;
  onChange: () => void;
  onAgain: (question: object) => void;
}) {
  const ask = useAsk();
  const say = ask.say;
  const { map, words } = useFrame();
  const [trouble, setTrouble] = createSignal("");
  const [copied, setCopied] = createSignal(false);
  const job = () => props.job();
  const shown = () => ask.view.state.job === String(job().id);
  const result = createAnswer(
    () => (shown() && job().state === "done" ? job().id : null),
    (id, signal) => jobs.result(id, signal),
  );
  const end = async () => {
    try {
      await jobs.end(job().id);
      if (shown()) ask.view.go({ job: "" }, "replace");
      props.onChange();
    } catch (error) {
      setTrouble(error instanceof Failure ? error.message : String(error));
    }
  };
  const again = () => props.onAgain(plain(job().question));
  const copy = async () => {
    const state = { ...parse(location.hash), job: String(job().id), tab: "patterns" as const };
    await navigator.clipboard?.writeText(location.origin + location.pathname + serialise(state));
    setCopied(true);
  };
  const parameters = () =>
    Object.entries(job().question.parameters ?? {})
      .filter(([, value]) => value !== null && value !== undefined)
      .map(([name, value]) => {
        const text = Array.isArray(value) ? value.join(" ") : String(value);
        return `${say().parameters[name] ?? name} ${say().choices[text] ?? text}`;
      })
      .join(words().comma);
  return (
    <li class="card job" data-state={job().state} data-type={job().type} data-id={job().id}>
      <h3>
        {say().jobs[job().type]}
        <span class="end">{say().states[job().state]}</span>
      </h3>
      <Show when={isOpen(job())}>
        <div
          class="progress"
          role="progressbar"
          aria-label={say().jobs[job().type]}
          aria-valuemin="0"
          aria-valuemax="100"
          aria-valuenow={Math.round(job().progress * 100)}
        >
          <i style={{ width: `${job().progress * 100}%` }} />
        </div>
        <p class="note">
          {percent(job().progress, 0)} {say().steps[job().step] ?? ""}
        </p>
      </Show>
      <Show when={job().error}>
        {(error) => <p role="alert">{say().jobErrors[error().code] ?? error().message}</p>}
      </Show>
      <Show when={shown() && result.data()}>{(found) => <Found result={found()} />}</Show>
      <p class="note">
        {job().question.start.slice(0, 10)} → {job().question.end.slice(0, 10)}
        {words().semicolon}
        {parameters()}
        {parameters() ? words().semicolon : ""}
        {say().seed} {job().question.seed}
        <Show when={job().ended_at}>
          {(at) => <> · {moment(at(), map().time_zone, new Date())}</>}
        </Show>
      </p>
      <Show when={shown() && job().method}>
        {(method) => <p class="rule">{method()[ask.view.state.lang]}</p>}
      </Show>
      <Show when={shown() && result.data()?.rule}>
        {(rule) => <p class="rule">{rule()[ask.view.state.lang]}</p>}
      </Show>
      <Show when={trouble()}>
        <p role="alert">{trouble()}</p>
      </Show>
      <div class="card-acts">
        <Show when={job().state === "done"}>
          <button
            type="button"
            class="button"
            data-act="show"
            aria-pressed={shown()}
            onClick={() => ask.view.go({ job: shown() ? "" : String(job().id) })}
          >
            {shown() ? say().hideResult : say().showResult}
          </button>
          <Show when={!["knox", "density"].includes(job().type)}>
            <a class="button" href={jobs.file(job().id, "geojson")} download="">
              GeoJSON
            </a>
          </Show>
          <Show when={["density", "forecast"].includes(job().type)}>
            <a class="button" href={jobs.file(job().id, "tif")} download="">
              GeoTIFF
            </a>
          </Show>
        </Show>
        <Show when={!isOpen(job())}>
          <button type="button" class="button" data-act="again" onClick={again}>
            {say().again}
          </button>
          <button type="button" class="button" onClick={copy}>
            {copied() ? words().linkDone : words().link}
          </button>
        </Show>
        <button type="button" class="button" data-act="end" onClick={end}>
          {isOpen(job()) ? say().cancel : say().removeSaved}
        </button>
      </div>
    </li>
  );
}

function Found(props: { result: JobResult }) {
  const say = useAsk().say;
  const as = <T extends JobResult>(type: T["type"]) =>
    props.result.type === type ? (props.result as T) : undefined;
  return (
    <div class="found" data-testid="found">
      <Show when={props.result.events === 0}>
        <p>{say().noEvents}</p>
      </Show>
      <Switch>
        <Match when={as<GiResult>("gi")}>
          {(one) => <p>{say().giFound(count(one().hot), count(one().cold), one().res)}</p>}
        </Match>
        <Match when={as<ScanResult>("scan")}>{(one) => <Clusters result={one()} />}</Match>
        <Match when={as<KnoxResult>("knox")}>{(one) => <Knox result={one()} />}</Match>
        <Match when={as<EmergingResult>("emerging")}>{(one) => <Emerging result={one()} />}</Match>
        <Match when={as<DensityResult>("density")}>{(one) => <Density result={one()} />}</Match>
        <Match when={as<ForecastResult>("forecast")}>{(one) => <Forecast result={one()} />}</Match>
      </Switch>
    </div>
  );
}

function Clusters(props: { result: ScanResult }) {
  const say = useAsk().say;
  const { map } = useFrame();
  const day = (at: string) => moment(at, map().time_zone, new Date()).slice(0, -6);
  return (
    <Show when={props.result.clusters.length > 0} fallback={<p>{say().noClusters}</p>}>
      <table class="plain">
        <thead>
          <tr>
            <th scope="col">#</th>
            <th scope="col">{say().time}</th>
            <th scope="col" class="num">
              {say().radius}
            </th>
            <th scope="col" class="num">
              {say().observed}
            </th>
            <th scope="col" class="num">
              {say().expected}
            </th>
            <th scope="col" class="num">
              LLR
            </th>
            <th scope="col" class="num">
              p
            </th>
          </tr>
        </thead>
        <tbody>
          <For each={props.result.clusters}>
            {(one) => (
              <tr class={one.significant ? "" : "quiet"}>
                <td>{one.rank}</td>
                <td>
                  {day(one.start)} → {day(one.end)}
                </td>
                <td class="num">{(one.metres / 1000).toFixed(1)} km</td>
                <td class="num">
                  <b>{count(one.observed)}</b>
                </td>
                <td class="num">{expectedCount(one.expected)}</td>
                <td class="num">{one.llr.toFixed(2)}</td>
                <td class="num">{one.p.toFixed(3)}</td>
              </tr>
            )}
          </For>
        </tbody>
      </table>
    </Show>
  );
}

function Knox(props: { result: KnoxResult }) {
  const say = useAsk().say;
  const days = () => {
    const first = props.result.bands[0];
    return props.result.bands.filter((one) => one.metres_from === first?.metres_from);
  };
  const rows = () => {
    const n = days().length || 1;
    return Array.from({ length: props.result.bands.length / n }, (_, i) =>
      props.result.bands.slice(i * n, i * n + n),
    );
  };
  return (
    <table class="plain knox">
      <thead>
        <tr>
          <th scope="col">{say().metresDays}</th>
          <For each={days()}>
            {(one) => (
              <th scope="col" class="num">
                {one.days_from}–{one.days_to}
              </th>
            )}
          </For>
        </tr>
      </thead>
      <tbody>
        <For each={rows()}>
          {(row) => (
            <tr>
              <th scope="row">
                {row[0]?.metres_from}–{row[0]?.metres_to}
              </th>
              <For each={row}>
                {(one) => (
                  <td
                    class="num"
                    classList={{ strong: one.significant }}
                    title={`${count(one.observed)} / ${expectedCount(one.expected)}, p ${one.p.toFixed(3)}`}
                  >
                    {one.observed < 5 ? <small>{say().few}</small> : ratio(one.ratio)}
                  </td>
                )}
              </For>
            </tr>
          )}
        </For>
      </tbody>
    </table>
  );
}

function Emerging(props: { result: EmergingResult }) {
  const ask = useAsk();
  const say = ask.say;
  const rows = () =>
    Object.entries(props.result.counts).filter(([name, n]) => n > 0 && !name.endsWith("none"));
  return (
    <Show when={rows().length > 0} fallback={<p>{say().noEmerging}</p>}>
      <table class="plain">
        <tbody>
          <For each={rows()}>
            {([name, n]) => (
              <tr>
                <th scope="row">
                  <button
                    type="button"
                    class="kind-name"
                    aria-pressed={ask.category() === name}
                    onClick={() => ask.setCategory(ask.category() === name ? "" : name)}
                  >
                    {name
                      .split(": ")
                      .map((part) => say().emerging[part] ?? part)
                      .join(" · ")}
                  </button>
                </th>
                <td class="num">{count(n)}</td>
              </tr>
            )}
          </For>
        </tbody>
      </table>
    </Show>
  );
}

function Density(props: { result: DensityResult }) {
  const say = useAsk().say;
  return (
    <>
      <p>
        {say().bandwidth(
          count(Math.round(props.result.bandwidth)),
          count(Math.round(props.result.integral)),
        )}
      </p>
      <p class="shades">
        <For each={props.result.picture.legend}>
          {(one) => (
            <span>
              <i style={{ background: one.colour }} />
              {`> ${one.above >= 10 ? Math.round(one.above) : one.above.toPrecision(2)}`}
            </span>
          )}
        </For>
        {say().perKm2}
      </p>
    </>
  );
}

function Forecast(props: { result: ForecastResult }) {
  const say = useAsk().say;
  const row = (name: string, one: ForecastScore) => (
    <tr>
      <th scope="row">{name}</th>
      <td class="num">
        <b>{one.pai === null ? "—" : one.pai.toFixed(2)}</b>
      </td>
      <td class="num">{one.pei === null ? "—" : one.pei.toFixed(2)}</td>
      <td class="num">
        {percent(one.hit_rate, 0)}{" "}
        <small>{one.low === null ? "" : `${percent(one.low, 0)}–${percent(one.high, 0)}`}</small>
      </td>
    </tr>
  );
  return (
    <>
      <p>
        {props.result.shown
          ? say().forecastShown(props.result.month.slice(0, 10))
          : say().forecastHidden}
      </p>
      <table class="plain">
        <thead>
          <tr>
            <th scope="col">{say().heldOut(props.result.held_out)}</th>
            <th scope="col" class="num">
              PAI
            </th>
            <th scope="col" class="num">
              PEI
            </th>
            <th scope="col" class="num">
              {say().hitRate}
            </th>
          </tr>
        </thead>
        <tbody>
          {row(say().thisMethod, props.result.model)}
          {row(say().sameCells, props.result.last_year)}
        </tbody>
      </table>
      <p class="note">p = {props.result.p.toFixed(3)}</p>
    </>
  );
}
