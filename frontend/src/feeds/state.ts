/** The address of this page: the shared parts, and which feed is open. Pure. */
import {
  DEFAULTS,
  parse as parseShared,
  serialise as serialiseShared,
  type ViewState,
} from "../state/hash";

export interface FeedsState extends ViewState {
  /** Number of the open feed; 0: none. */
  feed: number;
}

export function parse(hash: string): FeedsState {
  const parts = new URLSearchParams(hash.replace(/^#/, ""));
  const feed = parts.get("feed") ?? "";
  return { ...parseShared(hash), feed: /^[1-9]\d{0,9}$/.test(feed) ? Number(feed) : 0 };
}

export function serialise(state: ViewState): string {
  const own = state as FeedsState;
  const { map, theme, lang, palette, pattern } = own;
  const shared = serialiseShared({ ...DEFAULTS, map, theme, lang, palette, pattern });
  const parts = new URLSearchParams(shared.replace(/^#/, ""));
  if (own.feed > 0) parts.set("feed", String(own.feed));
  return parts.size === 0 ? "" : `#${parts}`;
}
