/** The queue at the left, the open text with its places at the right; one after the other on a phone. */
import {
  createEffect,
  For,
  lazy,
  Match,
  on,
  onCleanup,
  onMount,
  Show,
  Suspense,
  Switch,
} from "solid-js";
import { Badges, Bar } from "../command/bar.view";
import { may, session } from "../command/me";
import { StaleStrip } from "../command/stale.view";
import { Empty, Failed, Skeleton } from "../command/states.view";
import { moment } from "../state/times";
import { ItemView } from "./item.view";
import { MOST, useReview } from "./model";
import { PARTS } from "./state";

/** The map comes after the words: a text can be settled before its map is there. */
const Where = lazy(() => import("./where.view"));

export function Page(props: { lost: boolean }) {
  const review = useReview();
  const { say } = review;
  let main: HTMLElement | undefined;
  onMount(() => {
    const typed = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement;
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      const radio = target.matches("input[type=radio]");
      if (target.closest("input, select, textarea") && !radio) return;
      const act = keyOf(event.key, radio, target);
      if (!act) return;
      event.preventDefault();
      act();
    };
    addEventListener("keydown", typed);
    onCleanup(() => removeEventListener("keydown", typed));
  });
  const step = (by: number) => {
    const all = review.items();
    const at = all.findIndex((one) => one.id === review.item()?.id);
    const next = all[at + by];
    if (next) review.open(next.id);
  };
  const keyOf = (key: string, radio: boolean, target: HTMLElement): (() => void) | undefined => {
    if (/^[1-9]$/.test(key)) {
      const one = review.choices()[Number(key) - 1];
      return one && (() => review.choose(one.code));
    }
    if (radio) return undefined;
    if (key === "ArrowDown") return () => step(1);
    if (key === "ArrowUp") return () => step(-1);
    if (key === "Enter" && !target.closest("button, a, summary, label")) {
      return () => void review.settle();
    }
    if (key === "Backspace") {
      return () => document.querySelector<HTMLElement>(".address-dismiss")?.focus();
    }
    if (key === "l" || key === "L") {
      return () => document.querySelector<HTMLElement>(".address-learn input")?.click();
    }
    return undefined;
  };
  // after a decision the next text is where one goes on
  createEffect(
    on(
      review.done,
      () => {
        const find = (where: string) => document.querySelector<HTMLElement>(where);
        (find(".address-text") ?? find(".address-list") ?? main)?.focus();
      },
      { defer: true },
    ),
  );
  const barred = () => session() !== undefined && !may("address:review");
  return (
    <div class="addresses" data-open={review.item() !== undefined}>
      <button type="button" class="skip" onClick={() => main?.focus()}>
        {say().skip}
      </button>
      <Bar current="addresses" end={<Badges />} />
      <StaleStrip lost={props.lost} />
      <Show
        when={!barred()}
        fallback={
          <main class="address-barred">
            <Empty title={say().forbidden}>
              <p>{say().forbiddenText}</p>
            </Empty>
          </main>
        }
      >
        <List />
        <main class="address-main" tabindex="-1" ref={main} aria-label={say().page}>
          <Show
            when={review.item()}
            keyed
            fallback={
              <Show when={review.items().length > 0 && !review.narrow()}>
                <div class="state">
                  <h3>{review.view.state.item > 0 ? say().gone : say().pick}</h3>
                  <p>{say().pickText}</p>
                </div>
              </Show>
            }
          >
            {(item) => <ItemView item={item} />}
          </Show>
          <Show when={review.item()}>
            <Suspense fallback={<div class="address-map" aria-busy="true" />}>
              <Where />
            </Suspense>
          </Show>
        </main>
        <p class="address-keys note">{say().keys}</p>
      </Show>
      <p class="hidden" role="status" aria-live="polite">
        {review.done()}
      </p>
    </div>
  );
}

function List() {
  const review = useReview();
  const { say, frame, view } = review;
  const when = (iso: string) => moment(iso, frame.map().time_zone, new Date());
  const empty = () =>
    ({
      open: [say().emptyOpen, say().emptyOpenText],
      settled: [say().emptySettled, say().emptySettledText],
      dismissed: [say().emptyDismissed, say().emptyDismissedText],
    })[view.state.part] as [string, string];
  return (
    <section class="address-side" aria-label={say().queue}>
      <header>
        <h1>{say().page}</h1>
        <p>
          <Show when={view.state.part === "open" && review.queue.data()}>
            <>{say().headline(review.items().length)}</>
          </Show>
        </p>
        <fieldset class="segments" aria-label={say().partChoice}>
          <For each={PARTS}>
            {(part) => (
              <button
                type="button"
                class="segment"
                aria-pressed={view.state.part === part}
                onClick={() => view.go({ part, item: 0 }, "replace")}
              >
                {say().parts[part]}
              </button>
            )}
          </For>
        </fieldset>
        <Show when={review.items().length >= MOST}>
          <p class="note">{say().headlineMost}</p>
        </Show>
      </header>
      <Switch fallback={<Skeleton rows={review.queue.slow() ? 8 : 0} />}>
        <Match when={review.queue.failure()}>
          <Failed answer={review.queue} what={say().failedQueue} />
        </Match>
        <Match when={review.queue.data() && review.items().length === 0 && review.queue.fresh()}>
          <Empty title={empty()[0]}>
            <p>{empty()[1]}</p>
          </Empty>
        </Match>
        <Match when={review.items().length > 0}>
          <ol class="address-list" tabindex="0" aria-label={say().queue}>
            <For each={review.items()}>
              {(one) => (
                <li>
                  <button
                    type="button"
                    class="address-row"
                    aria-current={review.item()?.id === one.id ? "true" : undefined}
                    onClick={() => review.open(one.id)}
                  >
                    <b>{one.text}</b>
                    <span>
                      {one.state === "settled"
                        ? say().settledAs(one.settled_code ?? "")
                        : (say().reasons[one.reasons.at(-1) ?? "nothing"] ?? "")}
                    </span>
                    <small>
                      {say().seen(one.seen)} ·{" "}
                      {one.state === "open"
                        ? say().lastSeen(when(one.last_seen))
                        : one.state === "settled"
                          ? say().settledAt(when(one.settled_at ?? one.last_seen))
                          : say().dismissedAt(when(one.settled_at ?? one.last_seen))}
                    </small>
                  </button>
                </li>
              )}
            </For>
          </ol>
        </Match>
      </Switch>
    </section>
  );
}
