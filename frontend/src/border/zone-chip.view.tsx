/** Colour of a zone in the newest complete period, with its name. */
import { Show } from "solid-js";
import type { Colour } from "../api/models";
import { clampOrd } from "../state/periods";
import { createKept } from "./kept";
import { type Border, useBorder } from "./model";
import type { ZoneIndex } from "./types";

/** Index of a zone in the period of the link. */
export function createIndex(border: Border, zone: () => number) {
  const { view, frame } = border;
  return createKept<ZoneIndex>(() => {
    const period = view.state.period;
    const ord = clampOrd(frame.map().periods[period], view.state.ord);
    return zone() > 0 && border.may("border:read")
      ? `/api/zones/${zone()}/index?period=${period}&ord=${ord}`
      : null;
  });
}

export function ZoneChip(props: { zone: number }) {
  const border = useBorder();
  const index = createIndex(border, () => props.zone);
  const colour = () => index.value()?.colour as Colour | null | undefined;
  return (
    <Show when={colour()}>
      {(one) => <span class={`chip chip-${one()}`}>{border.frame.words().colours[one()]}</span>}
    </Show>
  );
}
