/** Questions about areas: counts, analyses, shapes, saved areas. Nothing here knows what a screen looks like. */
import type { Shape } from "../draw/shapes";
import { Failure, request, send } from "./client";
import type { components } from "./types.gen";

type Schemas = components["schemas"];
export type AreaAnswer = Schemas["AreaAnswer"];
export type UnitCount = Schemas["UnitCount"];

export type Reason = Schemas["Reason"];
export type ShapeInfo = Schemas["ShapeInfo"];
export type Upload = Schemas["Upload"];
export type Risk = Schemas["Risk"];
export type KindRisk = Schemas["KindRisk"];
export type ChildRisk = Schemas["ChildRisk"];
export type ComparisonRisk = Schemas["ComparisonRisk"];
export type SpanChange = Schemas["SpanChange"];
export type AnalysisAnswer = Schemas["AnalysisAnswer"];
export type SavedArea = Schemas["SavedArea"];
export type Note = Schemas["Note"];

/** Where: one of the ways of the server. */
export interface AreaBody {
  geojson?: object;
  wkt?: string;
  circle?: { lon: number; lat: number; metres: number };
  corridor?: { coordinates: [number, number][]; metres: number };
  units?: string[];
  combine?: { op: "union" | "minus" | "intersect"; areas: AreaBody[] };
  crs?: string;
  snap_metres?: number;
}

/** What both ways of asking share. */
export interface AreaQuestion {
  area: AreaBody;
  start: string;
  end: string;
  kinds?: string[];
  hours_of_week?: number[];
  located_by?: string[];
  weights?: "raster" | "area";
  breakdowns?: string[];
  parts?: string[];
  compare?: number;
  level?: string;
  cell_res?: number;
  run?: number;
}

export function bodyOf(shape: Shape): AreaBody {
  switch (shape.kind) {
    case "polygon":
      return { geojson: { type: "MultiPolygon", coordinates: shape.parts } };
    case "circle":
      return { circle: { lon: shape.centre[0], lat: shape.centre[1], metres: shape.metres } };
    case "corridor":
      return { corridor: { coordinates: shape.line, metres: shape.metres } };
    case "units":
      return { units: shape.codes };
  }
}

/** The server works on two areas of an account at once; more would only stand in its queue. */
const AT_ONCE = 2;
let underWay = 0;
const waiting: { rank: number; go: () => void }[] = [];

/** Wait for a turn; a live count goes before an answer in full, that before what only completes it. */
function turn(rank: number, signal?: AbortSignal): Promise<void> {
  if (underWay < AT_ONCE) {
    underWay += 1;
    return Promise.resolve();
  }
  return new Promise((resolve, reject) => {
    const place = { rank, go: resolve };
    waiting.push(place);
    signal?.addEventListener("abort", () => {
      const at = waiting.indexOf(place);
      if (at < 0) return;
      waiting.splice(at, 1);
      reject(new DOMException("superseded", "AbortError"));
    });
  });
}

function next(): void {
  underWay -= 1;
  if (waiting.length === 0) return;
  const first = waiting.reduce((a, b) => (b.rank < a.rank ? b : a));
  waiting.splice(waiting.indexOf(first), 1);
  underWay += 1;
  first.go();
}

async function post<T>(address: string, body: unknown, signal?: AbortSignal, rank = 1): Promise<T> {
  await turn(rank, signal);
  try {
    return (await (await patiently(address, body, signal)).json()) as T;
  } finally {
    next();
  }
}

/** Tries and pause, ms, while the server says that this account has too much under way. */
const TRIES = 10;
const PAUSE_MS = 1_500;

async function patiently(address: string, body: unknown, signal?: AbortSignal): Promise<Response> {
  for (let left = TRIES; ; left--) {
    try {
      return await send("POST", address, body, signal);
    } catch (error) {
      if (!(error instanceof Failure) || error.status !== 429 || left <= 1) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    signal?.throwIfAborted();
  }
}

const at = encodeURIComponent;
const areas = (pack: string) => `/api/packs/${at(pack)}/areas`;

export const analysis = {
  count: (pack: string, question: AreaQuestion, signal?: AbortSignal) =>
    post<AreaAnswer>(`${areas(pack)}/count`, question, signal, 0),
  /** `rank`: 1 the answer itself, 2 what only completes it. */
  analyse: (pack: string, question: AreaQuestion, signal?: AbortSignal, rank = 1) =>
    post<AnalysisAnswer>(`${areas(pack)}/analyse`, question, signal, rank),
  shape: (pack: string, area: AreaBody, signal?: AbortSignal) =>
    post<ShapeInfo>(`${areas(pack)}/shape`, area, signal),
  upload: (pack: string, file: File, crs: string, signal?: AbortSignal) => {
    const form = new FormData();
    form.set("file", file);
    if (crs) form.set("crs", crs);
    return post<Upload>(`${areas(pack)}/upload`, form, signal);
  },
};

export interface Saving {
  pack: string;
  name: string;
  purpose: string;
  scope: "private" | "jurisdiction";
  expires_on: string;
  area: AreaBody;
}

export const savedAreas = {
  list: async (pack: string, signal?: AbortSignal) =>
    (await (await request(`/api/areas?pack=${at(pack)}`, signal)).json()) as SavedArea[],
  save: (one: Saving) => post<SavedArea>("/api/areas", one),
  change: async (id: number, change: Partial<Omit<Saving, "pack">>) =>
    (await (await send("PATCH", `/api/areas/${id}`, change)).json()) as SavedArea,
  remove: (id: number) => send("DELETE", `/api/areas/${id}`),
  notes: async (id: number, signal?: AbortSignal) =>
    (await (await request(`/api/areas/${id}/notes`, signal)).json()) as Note[],
  note: (id: number, text: string) => post<Note>(`/api/areas/${id}/notes`, { text }),
};

export type ExportFormat = Schemas["AreaExport"]["format"];

/** The answer as a file, under the name the server gives it. */
export async function exportArea(
  pack: string,
  question: AreaQuestion & { format: ExportFormat; lang: string; title?: string },
): Promise<{ name: string; file: Blob }> {
  const response = await send("POST", `${areas(pack)}/export`, question);
  const said = response.headers.get("content-disposition") ?? "";
  const name = /filename="?([^";]+)"?/.exec(said)?.[1] ?? `wusetu-${pack}.${question.format}`;
  return { name, file: await response.blob() };
}

/** Where and why an area was refused, when the server says so. */
export function refusalOf(failure: Failure | undefined): {
  reason: string;
  at: [number, number] | null;
  message: string;
} | null {
  if (failure?.status !== 422) return null;
  const detail = failure.detail as { reason?: string; at?: [number, number] } | null;
  return {
    reason: detail?.reason ?? failure.code,
    at: Array.isArray(detail?.at) ? detail.at : null,
    message: failure.message,
  };
}
