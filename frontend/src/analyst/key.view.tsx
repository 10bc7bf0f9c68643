/** The legend: the classes of the units inside the area, or of the whole map while there is none. */
import type { MapLibreMap } from "maplibre-gl";
import { createEffect, createSignal, For, on, onCleanup, Show } from "solid-js";
import { createAnswer } from "../api/answer";
import { api } from "../api/client";
import { CLASSES, COLOURS, type Colour } from "../api/models";
import { fetchValues } from "../api/values";
import { count } from "../charts/numbers";
import { Swatch } from "../command/chip.view";
import { useFrame } from "../command/frame";
import { valueIndex } from "../state/levels";
import { useAsk } from "./ask";
import { type Inside, unitsInside } from "./inside";

export function Key(props: { map: MapLibreMap | undefined; ord: number }) {
  const ask = useAsk();
  const { map, words, title } = useFrame();
  const [found, setFound] = createSignal<Inside | null>(null);
  const asked = () => ({
    run: map().run,
    level: ask.level().id,
    kind: ask.focus(),
    period: "month" as const,
    ord: props.ord,
  });
  const values = createAnswer(
    () => ({ question: asked(), level: ask.level() }),
    async ({ question, level }, signal) => ({
      level,
      ...(await fetchValues(question, level.count, signal)),
    }),
  );
  const summary = createAnswer(
    () => (ask.active() ? null : { ...asked(), within: "" }),
    api.summary,
  );
  createEffect(
    on(
      [() => props.map, () => ask.outlines(ask.view.state.active), ask.level],
      ([one, parts, level]) => {
        if (!one || parts.length === 0) {
          setFound(null);
          return;
        }
        const look = () => setFound(unitsInside(one, level.id, parts));
        look();
        one.on("idle", look);
        onCleanup(() => one.off("idle", look));
      },
    ),
  );
  /** Units of a class; null: a part of the area is not on the screen, so no number is right. */
  const of = (colour: Colour): number | null => {
    if (!ask.active()) {
      return summary.data()?.counts.find((one) => one.colour === colour)?.count ?? null;
    }
    const [inside, now] = [found(), values.data()];
    if (!inside?.whole || !now || now.level.id !== ask.level().id) return null;
    const wanted = COLOURS.indexOf(colour);
    return inside.ids.filter((id) => now.colour[valueIndex(now.level, id)] === wanted).length;
  };
  return (
    <section class="key floating" aria-label={words().legend}>
      <h2>
        {title(ask.level().title)}
        <Show when={ask.active()}> · {ask.say().insideOnly}</Show>
      </h2>
      <ul>
        <For each={CLASSES}>
          {(colour) => (
            <li data-class={colour}>
              <Swatch colour={colour} />
              {words().colours[colour]}{" "}
              <b class="n">{of(colour) === null ? "" : count(of(colour))}</b>
            </li>
          )}
        </For>
      </ul>
    </section>
  );
}
