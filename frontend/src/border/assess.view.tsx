/** Have the shown period looked at anew by all sides together: asked, how far, called off, done. */
import { RefreshCw } from "lucide";
import { createEffect, createSignal, onCleanup, Show } from "solid-js";
import { Failure, request, send } from "../api/client";
import { percent } from "../charts/numbers";
import { Icon } from "../command/icon";
import { useBorder } from "./model";
import type { PooledJob, PooledRun } from "./types";

const ASK_MS = 1500;
/** A page that is opened again goes on telling of the run it asked for. */
const KEY = "wusetu.pooled";

const under = (job: PooledJob | undefined) => job?.state === "queued" || job?.state === "running";

export function AssessAnew(props: { run: PooledRun | undefined }) {
  const border = useBorder();
  const { say, view, frame } = border;
  const [job, setJob] = createSignal<PooledJob>();
  const [trouble, setTrouble] = createSignal("");
  const [busy, setBusy] = createSignal(false);
  let button: HTMLButtonElement | undefined;

  const told = (one: PooledJob) => {
    const before = job();
    setJob(one);
    if (under(one)) sessionStorage.setItem(KEY, String(one.id));
    else sessionStorage.removeItem(KEY);
    if (before && under(before) && one.state === "done") {
      border.runs.reload();
      view.go({ pooled: one.run ?? 0, period: one.period, open: "" }, "replace");
    }
  };
  const attempt = async (act: () => Promise<Response>) => {
    setBusy(true);
    setTrouble("");
    try {
      told((await (await act()).json()) as PooledJob);
    } catch (error) {
      setTrouble(error instanceof Failure ? error.message : String(error));
    } finally {
      setBusy(false);
    }
  };
  const start = () =>
    attempt(() =>
      send("POST", "/api/pooled", {
        pack: frame.map().pack,
        period: props.run?.period ?? "month",
        ...(props.run ? { from: props.run.from, treaty: props.run.treaty } : {}),
      }),
    );
  const cancel = async () => {
    await attempt(() => send("DELETE", `/api/pooled/jobs/${job()?.id}`));
    if (!under(job())) button?.focus();
  };
  const look = async (id: number) => {
    try {
      told((await (await request(`/api/pooled/jobs/${id}`)).json()) as PooledJob);
    } catch (error) {
      // a job that is not there any more, or of another account, is no longer spoken of
      if (error instanceof Failure && error.status >= 400 && error.status < 500) {
        sessionStorage.removeItem(KEY);
        setJob(undefined);
      }
    }
  };
  const known = Number(sessionStorage.getItem(KEY) ?? 0);
  if (known > 0) void look(known);
  createEffect(() => {
    const one = job();
    if (!one || !under(one)) return;
    const timer = setTimeout(() => void look(one.id), ASK_MS);
    onCleanup(() => clearTimeout(timer));
  });
  /** What became of it, once it is over; a run that is done is on the screen. */
  const over = () => {
    const one = job();
    if (!one || under(one)) return "";
    if (one.state === "done") return say().assessed;
    if (one.state === "cancelled") return say().assessCancelled;
    return say().assessFailed(one.error?.message ?? "");
  };
  return (
    <Show when={border.may("treaty:decide")}>
      <div class="assess" data-state={job()?.state ?? ""}>
        <Show
          when={under(job()) && job()}
          fallback={
            <button
              ref={button}
              type="button"
              class="button"
              disabled={busy()}
              title={say().assessTitle}
              onClick={start}
            >
              <Icon node={RefreshCw} />
              {say().assess}
            </button>
          }
        >
          {(one) => (
            <>
              <div
                class="progress"
                role="progressbar"
                aria-label={say().assess}
                aria-valuemin="0"
                aria-valuemax="100"
                aria-valuenow={Math.round(one().progress * 100)}
              >
                <i style={{ width: `${one().progress * 100}%` }} />
              </div>
              <p class="assess-line">
                <span>
                  {percent(one().progress, 0)} {say().assessSteps[one().step] ?? ""}
                </span>
                <button type="button" class="button" disabled={busy()} onClick={cancel}>
                  {say().assessCancel}
                </button>
              </p>
            </>
          )}
        </Show>
        <p role="status" class="note">
          {over()}
        </p>
        <Show when={trouble()}>
          <p class="note" role="alert">
            {say().failed(trouble())}
          </p>
        </Show>
      </div>
    </Show>
  );
}
