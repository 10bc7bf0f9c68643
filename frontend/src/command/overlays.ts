/**
 * Sources and layers a page lays over the map by itself (drawn areas, hotspots, surfaces). They are not
 * part of `buildStyle`, so a new style would sweep them away; here they are carried over. Pure.
 */
import type { LayerSpecification, StyleSpecification } from "maplibre-gl";

/** Overlays under the names of the map. */
export const UNDER = "under-";
/** Overlays above everything. */
export const OVER = "over-";
const PREFIXES = [UNDER, OVER, "td-"];

export function isOverlay(id: string): boolean {
  return PREFIXES.some((prefix) => id.startsWith(prefix));
}

/** Id of the lowest layer of names: what lies under the names is added before it. */
export function firstNames(layers: readonly LayerSpecification[]): string | undefined {
  return layers.find((one) => one.type === "symbol" && !isOverlay(one.id))?.id;
}

/** The next style with the overlays of the one before it. */
export function withOverlays(
  previous: StyleSpecification | undefined,
  next: StyleSpecification,
): StyleSpecification {
  if (!previous) return next;
  const sources = { ...next.sources };
  for (const [id, source] of Object.entries(previous.sources)) {
    if (isOverlay(id)) sources[id] = source;
  }
  const kept = previous.layers.filter((one) => isOverlay(one.id));
  const under = kept.filter((one) => one.id.startsWith(UNDER));
  const over = kept.filter((one) => !one.id.startsWith(UNDER));
  const names = firstNames(next.layers);
  const at = names ? next.layers.findIndex((one) => one.id === names) : next.layers.length;
  return {
    ...next,
    sources,
    layers: [...next.layers.slice(0, at), ...under, ...next.layers.slice(at), ...over],
  };
}
