/** Hover tip: name, class, relative risk; the interval, rank and veto follow once the server has said them. */
import { createEffect, createSignal, on, onCleanup, Show } from "solid-js";
import { createAnswer } from "../api/answer";
import { addresses, api } from "../api/client";
import { COLOURS } from "../api/models";
import { thetaOf } from "../api/values";
import { ratio } from "../charts/numbers";
import { Chip } from "./chip.view";
import { kindName } from "./kind-names";
import type { Hit } from "./map.view";
import { useModel } from "./model";

/** Tip of a cell: what the map itself knows, and the unit below. */
export function CellTip(props: { hit: Hit }) {
  const model = useModel();
  const words = model.words;
  const theta = () => thetaOf(props.hit.theta);
  return (
    <div
      class="tip floating"
      classList={{ "tip-left": props.hit.x > innerWidth - 720 }}
      style={{ transform: `translate(${props.hit.x}px, ${props.hit.y}px)` }}
    >
      <div class="tip-box">
        <p class="tip-head">
          <b>{words().cell}</b>
          <Chip colour={COLOURS[props.hit.colour] ?? "none"} />
        </p>
        <p>
          <Show when={theta() !== null} fallback={words().noDataUnit}>
            {words().relativeRisk} {ratio(theta())}
          </Show>
        </p>
        <Show when={props.hit.name}>
          <p class="note">{props.hit.name}</p>
        </Show>
      </div>
    </div>
  );
}

const REST_MS = 160;

export function Tip(props: { hit: Hit }) {
  const model = useModel();
  const words = model.words;
  const [resting, setResting] = createSignal("");
  createEffect(
    on(
      () => props.hit.code,
      (code) => {
        setResting("");
        const timer = setTimeout(() => setResting(code), REST_MS);
        onCleanup(() => clearTimeout(timer));
      },
    ),
  );
  const why = createAnswer(
    () =>
      resting() === ""
        ? null
        : addresses.why(
            model.map().run,
            resting(),
            model.kind().id,
            model.view.state.period,
            model.ord(),
          ),
    api.why,
  );
  const known = () => {
    const data = why.data();
    return data?.unit.code === props.hit.code ? data : undefined;
  };
  const colour = () => COLOURS[props.hit.colour] ?? "none";
  const theta = () => known()?.estimate?.theta ?? thetaOf(props.hit.theta);
  const rank = () => model.ranking.data()?.rows.find((row) => row.unit.code === props.hit.code);
  const right = () => props.hit.x > innerWidth - 720;
  return (
    <div
      class="tip floating"
      classList={{ "tip-left": right() }}
      style={{ transform: `translate(${props.hit.x}px, ${props.hit.y}px)` }}
    >
      <div class="tip-box">
        <p class="tip-head">
          <b>{props.hit.name}</b>
          <Chip colour={colour()} />
        </p>
        <Show when={theta() !== null} fallback={<p>{words().noDataUnit}</p>}>
          <p>
            {words().relativeRisk} {ratio(theta())}
            <Show when={known()?.estimate}>
              {(one) => <>{words().bracket(`${ratio(one().low)}–${ratio(one().high)}`)}</>}
            </Show>
          </p>
        </Show>
        <Show when={rank()}>
          {(row) => (
            <p>{words().rankOf(String(row().rank), String(row().low), String(row().high))}</p>
          )}
        </Show>
        <Show when={known()?.flags.includes("veto") && known()}>
          {(one) => (
            <p class="tip-more">
              {words().veto(
                one()
                  .veto_kinds.map((kind) => kindName(model, kind))
                  .join(words().and),
                words().colours[one().colour],
              )}
            </p>
          )}
        </Show>
      </div>
    </div>
  );
}
