/**
 * The one door to the server. Answers of a run never change, so they are kept; a failure is always a
 * `Failure` with the server's code and request id. Nothing here knows what a screen looks like.
 */
import type {
  CellChunk,
  CellCounts,
  CellWhy,
  ErrorBody,
  Manifest,
  Period,
  Ranking,
  SearchAnswer,
  Series,
  Summary,
  UnitDetail,
  Why,
} from "./models";
import { heardAnswer, STALE } from "./server";
import { csrfToken, loginAddress } from "./session";

/** An answer that did not come: `status` 0 means the server did not answer at all. */
export class Failure extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly requestId: string | null,
    /** What the server says of the place of the fault, if anything. */
    readonly detail: unknown = null,
  ) {
    super(message);
    this.name = "Failure";
  }
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

async function failureOf(response: Response): Promise<Failure> {
  const id = response.headers.get("x-request-id");
  try {
    const body = (await response.json()) as Partial<ErrorBody>;
    return new Failure(
      response.status,
      body.code ?? "unknown",
      body.message ?? response.statusText,
      body.request_id ?? id,
      body.detail,
    );
  } catch {
    return new Failure(response.status, "unknown", response.statusText, id);
  }
}

/** Fetch or throw `Failure`; an abort passes through as `AbortError`. */
export async function request(
  address: string,
  signal?: AbortSignal,
  init: RequestInit = {},
): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(address, signal ? { ...init, signal } : init);
  } catch (error) {
    if (isAbort(error)) throw error;
    heardAnswer(address, 0, null);
    throw new Failure(0, "no_answer", String(error), null);
  }
  heardAnswer(address, response.status, response.headers.get(STALE));
  if (response.status === 401) location.assign(loginAddress(location));
  if (!response.ok) throw await failureOf(response);
  return response;
}

/** A question with a body, or a change; a session's own token goes along. */
export function send(
  method: "POST" | "PATCH" | "DELETE",
  address: string,
  body?: unknown,
  signal?: AbortSignal,
): Promise<Response> {
  const headers: Record<string, string> = {};
  const token = csrfToken(document.cookie);
  if (token) headers["X-CSRF-Token"] = token;
  const init: RequestInit = { method, headers, cache: "no-store" };
  if (body instanceof FormData) init.body = body;
  else if (body !== undefined) {
    headers["Content-Type"] = "application/json";
    init.body = JSON.stringify(body);
  }
  return request(address, signal, init);
}

const KEPT = 240;
const kept = new Map<string, unknown>();

/** `of` tells answers of one address apart that may differ. */
async function json<T>(address: string, signal?: AbortSignal, of = ""): Promise<T> {
  const key = `${address} ${of}`;
  if (kept.has(key)) return kept.get(key) as T;
  const body = (await (await request(address, signal)).json()) as T;
  kept.set(key, body);
  if (kept.size > KEPT) kept.delete(kept.keys().next().value as string);
  return body;
}

/** What is asked of a run: one level, kind and period inside one scope (empty: the whole map). */
export interface Question {
  run: number;
  level: string;
  kind: string;
  period: Period;
  ord: number;
  within: string;
}

/** What is asked of the cells of a run. */
export interface CellQuestion {
  run: number;
  res: number;
  kind: string;
  period: Period;
  ord: number;
}

function query(parts: Record<string, string | number>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(parts)) {
    if (value !== "") search.set(name, String(value));
  }
  return search.toString();
}

const at = encodeURIComponent;

export const addresses = {
  values: (q: Omit<Question, "within">) =>
    `/api/runs/${q.run}/values/${at(q.level)}/${at(q.kind)}/${q.period}/${q.ord}`,
  summary: ({ run, ...rest }: Question) => `/api/runs/${run}/summary?${query({ ...rest })}`,
  ranking: ({ run, ...rest }: Question, limit: number) =>
    `/api/runs/${run}/ranking?${query({ ...rest, limit })}`,
  why: (run: number, code: string, kind: string, period: Period, ord: number) =>
    `/api/runs/${run}/units/${at(code)}/why?${query({ kind, period, ord })}`,
  series: (run: number, code: string, kind: string, period: Period) =>
    `/api/runs/${run}/units/${at(code)}/series?${query({ kind, period })}`,
  cellValues: (q: CellQuestion, chunk: string) =>
    `/api/runs/${q.run}/cells/${q.res}/values/${at(q.kind)}/${q.period}/${q.ord}/${chunk}`,
  cellCounts: ({ run, res, ...rest }: CellQuestion, within: string) =>
    `/api/runs/${run}/cells/${res}/counts?${query({ ...rest, within })}`,
  cellWhy: (run: number, cell: string, kind: string, period: Period, ord: number) =>
    `/api/runs/${run}/cells/${at(cell)}/why?${query({ kind, period, ord })}`,
  cellSeries: (run: number, cell: string, kind: string, period: Period) =>
    `/api/runs/${run}/cells/${at(cell)}/series?${query({ kind, period })}`,
  unit: (pack: string, code: string) => `/api/packs/${at(pack)}/units/${at(code)}`,
  search: (pack: string, q: string) => `/api/packs/${at(pack)}/search?${query({ q })}`,
  export: (q: Omit<Question, "within">, format: "csv" | "gpkg") =>
    `/api/runs/${q.run}/export.${format}?${query({ level: q.level, kind: q.kind, period: q.period, ord: q.ord })}`,
};

export const api = {
  /** Never kept: it is how a new run becomes known. */
  manifest: async (signal?: AbortSignal): Promise<Manifest> =>
    (await (await request("/api/manifest", signal)).json()) as Manifest,
  summary: (q: Question, signal?: AbortSignal) => json<Summary>(addresses.summary(q), signal),
  ranking: (q: Question, limit: number, signal?: AbortSignal) =>
    json<Ranking>(addresses.ranking(q, limit), signal),
  why: (address: string, signal?: AbortSignal) => json<Why>(address, signal),
  series: (address: string, signal?: AbortSignal) => json<Series>(address, signal),
  cellChunks: (run: number, res: number, signal?: AbortSignal) =>
    json<CellChunk[]>(`/api/runs/${run}/cells/${res}/chunks`, signal),
  cellCounts: (q: CellQuestion, within: string, signal?: AbortSignal) =>
    json<CellCounts>(addresses.cellCounts(q, within), signal),
  cellWhy: (address: string, signal?: AbortSignal) => json<CellWhy>(address, signal),
  /** A unit of the newest boundary version; `version` only separates what is kept. */
  unit: (pack: string, version: string, code: string, signal?: AbortSignal) =>
    json<UnitDetail>(addresses.unit(pack, code), signal, version),
  search: (pack: string, q: string, signal?: AbortSignal) =>
    json<SearchAnswer>(addresses.search(pack, q), signal),
};
