/**
 * What the worker keeps for a phone without a signal, and how. Pure; read by the worker and by its tests.
 *
 * A page joins by its name in `PAGES` (with its entry in vite.config.ts); what it asks for is kept when
 * the address is one of `ANSWERS`. Never kept: positions asked for, files, streams, anything sent.
 */

/** Pages that open without a server. */
export const PAGES = ["border", "tasks"] as const;

/** When an answer from the cache was heard, ISO; no such header: the server itself answered. */
export const KEPT = "x-wusetu-kept";

export type Way = "page" | "asset" | "answer" | "tile";

const ANSWERS = [
  /^\/api\/(manifest|session|zones|checks|devices|alarms|treaties|pooled|tasks)(\/|$)/,
  /^\/api\/(alerts|desks)(\/|$)/,
  // a unit and the colours of a level: the small map of a task
  /^\/api\/packs\/[^/]+\/units\/[^/]+$/,
  /^\/api\/runs\/\d+\/values\//,
  /^\/api\/packs\/[^/]+\/border\/(lines|desks|checkpoints|evaluation)$/,
];
/** What would be large, or is a stream, below an address that is kept. */
const NEVER = [/\/(export|photos?|files?)(\/|\.|$)/];

/** Milliseconds a weak signal is waited for when there is something kept. */
export const PATIENCE: Record<Way, number> = { page: 4000, asset: 4000, answer: 6000, tile: 2500 };
/** What is older is not shown any more. */
export const OLDEST_MS = 7 * 86_400_000;
/** Most entries of each cache; the oldest go first. */
export const MOST = { answer: 400, tile: 1500 };

/** How a request is answered; null: the worker keeps out of it. */
export function wayOf(
  method: string,
  address: string,
  origin: string,
  navigation = false,
): Way | null {
  const url = new URL(address, origin);
  if (method !== "GET" || url.origin !== origin) return null;
  if (navigation) return pageOf(url.pathname) ? "page" : null;
  if (url.pathname.startsWith("/assets/") || url.pathname === "/mark.svg") return "asset";
  if (url.pathname.startsWith("/tiles/")) return "tile";
  if (NEVER.some((one) => one.test(url.pathname))) return null;
  return ANSWERS.some((one) => one.test(url.pathname)) ? "answer" : null;
}

/** File of a page; null: a page that needs the server. */
export function pageOf(path: string): string | null {
  const name = PAGES.find((one) => path === `/${one}` || path === `/${one}.html`);
  return name ? `/${name}.html` : null;
}

/** Whether an answer is as good as none: the server's own trouble, or that of a proxy before it. */
export function isAway(status: number): boolean {
  return status === 0 || (status >= 502 && status <= 504);
}

/** Whether something heard at `kept` may still be shown. */
export function isYoung(kept: string | null, now: number): boolean {
  const at = Date.parse(kept ?? "");
  return Number.isFinite(at) && now - at <= OLDEST_MS;
}

/** Whether a request ends or begins a session: what is kept belongs to whoever was there before. */
export function changesHands(method: string, path: string): boolean {
  if (method === "GET") return /^\/api\/oidc\/[^/]+\/callback$/.test(path);
  return method !== "HEAD" && /^\/api\/(session|login|oidc)(\/|$)/.test(path);
}
