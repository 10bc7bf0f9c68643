/** The address of this page: the shared parts, which part of the queue, which text. Pure. */
import {
  DEFAULTS,
  parse as parseShared,
  serialise as serialiseShared,
  type ViewState,
} from "../state/hash";

export const PARTS = ["open", "settled", "dismissed"] as const;
export type Part = (typeof PARTS)[number];

export interface AddressState extends ViewState {
  part: Part;
  /** Number of the chosen text; 0: none. */
  item: number;
}

export function parse(hash: string): AddressState {
  const parts = new URLSearchParams(hash.replace(/^#/, ""));
  const item = parts.get("item") ?? "";
  return {
    ...parseShared(hash),
    part: PARTS.find((one) => one === parts.get("part")) ?? "open",
    item: /^[1-9]\d{0,9}$/.test(item) ? Number(item) : 0,
  };
}

export function serialise(state: ViewState): string {
  const own = state as AddressState;
  const { map, theme, lang, palette, pattern } = own;
  const shared = serialiseShared({ ...DEFAULTS, map, theme, lang, palette, pattern });
  const parts = new URLSearchParams(shared.replace(/^#/, ""));
  if (own.part !== "open") parts.set("part", own.part);
  if (own.item > 0) parts.set("item", String(own.item));
  return parts.size === 0 ? "" : `#${parts}`;
}
