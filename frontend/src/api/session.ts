/** Who asks: the way to the login page, and the requests of a session. Knows no screen. */
import type { components } from "./types.gen";

type Schemas = components["schemas"];
export type Ways = Schemas["Ways"];
export type SessionInfo = Schemas["SessionInfo"];
export type OpenSession = Schemas["OpenSessionInfo"];
export type NewCodes = Schemas["NewCodes"];

/** What went wrong: the server's code (`no_answer` when it gave none), and when to come back. */
export interface Refusal {
  code: string;
  message: string;
  seconds: number;
}

/** Address inside this site to go on to; everything else becomes the first page. */
export function safeNext(wanted: string | null, origin: string): string {
  if (!wanted?.startsWith("/") || /[\\\p{Cc}\s]/u.test(wanted)) return "/";
  try {
    const found = new URL(wanted, origin);
    if (found.origin !== origin || wanted.startsWith("//")) return "/";
    return found.pathname === "/login" ? "/" : found.pathname + found.search + found.hash;
  } catch {
    return "/";
  }
}

/** Login page that comes back here; what stands behind `#` stays in the browser. */
export function loginAddress(here: { pathname: string; search: string; hash: string }): string {
  const page = here.pathname + here.search;
  return `/login${page === "/" ? "" : `?next=${encodeURIComponent(page)}`}${here.hash}`;
}

/** The session's own token, repeated by every unsafe request. */
export function csrfToken(cookies: string): string {
  const found = /(?:^|;\s*)(?:__Host-)?wusetu_csrf=([^;]*)/.exec(cookies);
  return found?.[1] ?? "";
}

async function refusal(response: Response): Promise<Refusal> {
  const seconds = Number(response.headers.get("retry-after") ?? 0);
  try {
    const body = (await response.json()) as Partial<Schemas["ErrorBody"]>;
    return { code: body.code ?? "unknown", message: body.message ?? "", seconds };
  } catch {
    return { code: "unknown", message: "", seconds };
  }
}

/** Ask; the answer, or why there is none. */
export async function ask<T>(
  method: string,
  address: string,
  body?: unknown,
): Promise<{ answer?: T; refusal?: Refusal }> {
  const headers: Record<string, string> = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const token = csrfToken(document.cookie);
  if (method !== "GET" && token) headers["X-CSRF-Token"] = token;
  let response: Response;
  try {
    response = await fetch(address, {
      method,
      headers,
      cache: "no-store",
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch {
    return { refusal: { code: "no_answer", message: "", seconds: 0 } };
  }
  if (!response.ok) return { refusal: await refusal(response) };
  return response.status === 204 ? {} : { answer: (await response.json()) as T };
}
