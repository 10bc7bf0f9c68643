/** Kinds with the worst class of each in the scope, length of period, what period, badges. */
import { For, Show } from "solid-js";
import { PERIODS } from "../api/models";
import { newest, periodName, sameTime } from "../state/periods";
import { useFrame } from "./frame";
import { useModel } from "./model";

export function KindTabs() {
  const model = useModel();
  const worst = (kind: string) =>
    model.summary.data()?.kinds.find((one) => one.kind === kind)?.worst ?? "none";
  const known = () => model.summary.data() !== undefined;
  return (
    <fieldset class="kinds segments" aria-label={model.words().kindChoice}>
      <For each={model.map().kinds}>
        {(kind) => (
          <button
            type="button"
            class="segment"
            data-kind={kind.id}
            aria-pressed={kind.id === model.kind().id}
            onClick={() => model.view.go({ kind: kind.id })}
          >
            <Show when={known()} fallback={<span class="dot-square" />}>
              <span
                class={`dot-square fill-bg-${worst(kind.id)}`}
                role="img"
                aria-label={model.words().colours[worst(kind.id)]}
              />
            </Show>
            {model.title(kind.title)}
          </button>
        )}
      </For>
    </fieldset>
  );
}

export function KindMenu() {
  const model = useModel();
  return (
    <select
      class="kind-menu"
      aria-label={model.words().kindChoice}
      value={model.kind().id}
      onChange={(event) => model.view.go({ kind: event.currentTarget.value })}
    >
      <For each={model.map().kinds}>
        {(kind) => <option value={kind.id}>{model.title(kind.title)}</option>}
      </For>
    </select>
  );
}

export function PeriodSwitch() {
  const model = useModel();
  const choose = (period: (typeof PERIODS)[number]) => {
    const periods = model.map().periods[period];
    const ord = sameTime(model.periodInfo(), periods) ?? newest(periods);
    model.view.go({ period, ord: ord === newest(periods) ? null : ord });
  };
  return (
    <fieldset class="segments" aria-label={model.words().periodChoice}>
      <For each={PERIODS.filter((one) => model.map().periods[one]?.length)}>
        {(period) => (
          <button
            type="button"
            class="segment"
            data-period={period}
            aria-pressed={period === model.view.state.period}
            onClick={() => choose(period)}
          >
            {model.words().periods[period]}
          </button>
        )}
      </For>
    </fieldset>
  );
}

export function PeriodName() {
  const model = useModel();
  return (
    <b class="period-name">
      {periodName(model.view.state.period, model.periodInfo().start, model.view.state.lang)}
      <Show when={!model.periodInfo().complete}>
        <small>{model.words().incomplete}</small>
      </Show>
    </b>
  );
}

/** Never hidden: what on this map is not real. */
export function Badges() {
  const model = useFrame();
  return (
    <span class="badges">
      <Show when={model.map().approximate}>
        <span class="badge" title={model.words().approximateTitle}>
          {model.words().approximate}
        </span>
      </Show>
      <Show when={model.map().simulated}>
        <span class="badge" title={model.words().simulatedTitle}>
          {model.words().simulated}
        </span>
      </Show>
    </span>
  );
}
