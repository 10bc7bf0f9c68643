/** The states of a panel: frame, header and row heights never change, only what is inside (LOOK 4). */
import { CircleSlash2, Unplug } from "lucide";
import { For, type JSX, Match, Show, Switch } from "solid-js";
import type { Answer } from "../api/answer";
import { clock } from "../state/times";
import { useFrame } from "./frame";
import { Icon } from "./icon";

export function Skeleton(props: { rows: number }) {
  return (
    <div class="skeleton" aria-hidden="true">
      <For each={Array.from({ length: props.rows })}>
        {() => (
          <div class="skeleton-row">
            <i />
            <i />
            <i />
            <i />
          </div>
        )}
      </For>
    </div>
  );
}

export function Empty(props: { title: string; children: JSX.Element }) {
  return (
    <div class="state">
      <Icon node={CircleSlash2} size={28} />
      <h3>{props.title}</h3>
      {props.children}
    </div>
  );
}

/** What still works, the request id, and a way to try again. */
export function Failed(props: { answer: Answer<unknown>; what: string }) {
  const model = useFrame();
  const words = model.words;
  return (
    <Show when={props.answer.failure()}>
      {(failure) => (
        <div class="state" role="alert">
          <Icon node={Unplug} size={28} />
          <h3>{words().failed(props.what)}</h3>
          <p>
            {failure().status === 0 || failure().status >= 500
              ? words().failedServer
              : words().failedAnswer(failure().message)}
          </p>
          <p class="note">
            <Show when={failure().requestId}>{(id) => <>{words().requestId(id())} · </>}</Show>
            {clock(props.answer.failedAt() ?? new Date(), model.map().time_zone)}
          </p>
          <button type="button" class="button button-primary" onClick={props.answer.retry}>
            {words().retry}
          </button>
        </div>
      )}
    </Show>
  );
}

/** Shows what an answer is: failed, not yet there (skeleton after 300 ms), or its content. */
export function Settled<T>(props: {
  answer: Answer<T>;
  what: string;
  rows: number;
  children: (data: () => T) => JSX.Element;
}) {
  const shown = () => (props.answer.slow() ? undefined : props.answer.data());
  return (
    <Switch fallback={<Skeleton rows={props.answer.slow() ? props.rows : 0} />}>
      <Match when={props.answer.failure()}>
        <Failed answer={props.answer as Answer<unknown>} what={props.what} />
      </Match>
      <Match when={shown()}>{(data) => props.children(data as () => T)}</Match>
    </Switch>
  );
}
