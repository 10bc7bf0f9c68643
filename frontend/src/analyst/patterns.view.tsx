/** Hotspots, clusters, surfaces and forecasts in the area: asked here, worked on in the background. */
import { createEffect, createSignal, createUniqueId, For, on, onCleanup, Show } from "solid-js";
import { bodyOf } from "../api/analysis";
import { createAnswer } from "../api/answer";
import { Failure } from "../api/client";
import { isOpen, type Job, type JobType, jobs } from "../api/jobs";
import { useFrame } from "../command/frame";
import { Settled } from "../command/states.view";
import { plain, useAsk } from "./ask";
import { JobCard } from "./job.view";

const TYPES: readonly JobType[] = ["gi", "scan", "emerging", "knox", "density", "forecast"];
/** Pause between questions about a job under way, ms. */
const LOOK_MS = 700;

interface Field {
  name: string;
  kind: "number" | "choice";
  value: string;
  choices?: readonly string[];
  min?: number;
  max?: number;
  step?: number;
}

const FIELDS: Record<JobType, readonly Field[]> = {
  gi: [
    { name: "ring", kind: "number", value: "1", min: 1, max: 10 },
    { name: "q", kind: "number", value: "0.05", min: 0.001, max: 0.5, step: 0.001 },
  ],
  scan: [
    {
      name: "mode",
      kind: "choice",
      value: "prospective",
      choices: ["prospective", "retrospective", "spatial"],
    },
    { name: "max_share", kind: "number", value: "0.1", min: 0.01, max: 0.5, step: 0.01 },
    { name: "step_days", kind: "number", value: "7", min: 1, max: 366 },
    { name: "replicates", kind: "number", value: "999", min: 19, max: 9999 },
  ],
  emerging: [
    { name: "step", kind: "choice", value: "month", choices: ["week", "month", "quarter"] },
    { name: "ring", kind: "number", value: "1", min: 1, max: 10 },
    { name: "q", kind: "number", value: "0.05", min: 0.001, max: 0.5, step: 0.001 },
  ],
  knox: [{ name: "replicates", kind: "number", value: "999", min: 19, max: 9999 }],
  density: [{ name: "metres", kind: "number", value: "", min: 1, max: 100000 }],
  forecast: [
    { name: "area_share", kind: "number", value: "0.1", min: 0.01, max: 0.49, step: 0.01 },
    { name: "held_out", kind: "number", value: "6", min: 1, max: 24 },
  ],
};

export function PatternsPanel() {
  const ask = useAsk();
  const say = ask.say;
  const { map } = useFrame();
  const [type, setType] = createSignal<JobType>("gi");
  const [trouble, setTrouble] = createSignal("");
  const [turn, setTurn] = createSignal(0);
  const list = createAnswer(
    () => ({ pack: map().pack, turn: turn() }),
    ({ pack }, signal) => jobs.list(pack, signal),
  );
  // Jobs under way are asked for until none is: known states stay on the screen meanwhile.
  createEffect(
    on(list.data, (found) => {
      if (!found?.some(isOpen)) return;
      const timer = setTimeout(() => setTurn((n) => n + 1), LOOK_MS);
      onCleanup(() => clearTimeout(timer));
    }),
  );
  const again = () => setTurn((n) => n + 1);
  const start = async (question: object) => {
    setTrouble("");
    try {
      const job = await jobs.start(question);
      ask.view.go({ job: String(job.id) });
      again();
    } catch (error) {
      setTrouble(error instanceof Failure ? error.message : String(error));
    }
  };
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const parameters: Record<string, unknown> = {};
    for (const field of FIELDS[type()]) {
      const value = String(form.get(field.name) ?? "");
      if (value !== "") parameters[field.name] = field.kind === "number" ? Number(value) : value;
    }
    const area = ask.active();
    const { kinds, hours } = ask.view.state;
    void start({
      type: type(),
      pack: map().pack,
      ...(area ? { area: bodyOf(plain(area.shape)) } : {}),
      start: ask.span().from,
      end: ask.span().to,
      ...(kinds.length > 0 ? { kinds: plain(kinds) } : {}),
      ...(hours.length > 0 ? { hours_of_week: plain(hours) } : {}),
      parameters,
      seed: Number(form.get("seed")) || 0,
    });
  };
  return (
    <div class="answer">
      <form class="job-form" onSubmit={submit}>
        <fieldset class="job-types" aria-label={say().method}>
          <For each={TYPES}>
            {(one) => (
              <button
                type="button"
                class="menu-item"
                data-job={one}
                aria-pressed={type() === one}
                onClick={() => setType(one)}
              >
                {say().jobs[one]}
                <small>{say().jobNotes[one]}</small>
              </button>
            )}
          </For>
        </fieldset>
        <div class="job-fields">
          <For each={FIELDS[type()]}>{(field) => <JobField field={field} />}</For>
          <label>
            {say().seed}
            <input type="number" name="seed" min="0" step="1" value="20260101" />
          </label>
        </div>
        <p class="note">{ask.active() ? say().jobArea : say().jobEverywhere}</p>
        <Show when={trouble()}>
          <p role="alert">{trouble()}</p>
        </Show>
        <button type="submit" class="button button-primary" data-act="start-job">
          {say().compute}
        </button>
      </form>
      <Settled answer={keeping(list)} what={say().tabs.patterns as string} rows={3}>
        {(data) => (
          <ul class="cards">
            <For each={data().map((one) => one.id)}>
              {(id) => (
                <JobCard
                  job={() => data().find((one) => one.id === id) as Job}
                  onChange={again}
                  onAgain={start}
                />
              )}
            </For>
          </ul>
        )}
      </Settled>
    </div>
  );
}

/** An answer asked for again and again: its last state stays on the screen while the next one comes. */
function keeping<T>(answer: ReturnType<typeof createAnswer<never, T>>) {
  return { ...answer, slow: () => answer.slow() && answer.data() === undefined };
}

function JobField(props: { field: Field }) {
  const say = useAsk().say;
  const id = createUniqueId();
  return (
    <span class="job-field">
      <label for={id}>{say().parameters[props.field.name]}</label>
      <Show
        when={props.field.choices}
        fallback={
          <input
            id={id}
            type="number"
            name={props.field.name}
            value={props.field.value}
            min={props.field.min}
            max={props.field.max}
            step={props.field.step ?? 1}
            placeholder={say().byItself}
          />
        }
      >
        {(choices) => (
          <select id={id} name={props.field.name}>
            <For each={choices()}>
              {(one) => (
                <option value={one} selected={one === props.field.value}>
                  {say().choices[one] ?? one}
                </option>
              )}
            </For>
          </select>
        )}
      </Show>
    </span>
  );
}
