/** Questions worked on in the background. Nothing here knows what a screen looks like. */
import type { FeatureCollection } from "geojson";
import { request, send } from "./client";
import type { components } from "./types.gen";

type Schemas = components["schemas"];
export type Job = Schemas["Job"];
export type JobType = Job["type"];
export type GiResult = Schemas["GiResult"];
export type ScanResult = Schemas["ScanResult"];
export type KnoxResult = Schemas["KnoxResult"];
export type EmergingResult = Schemas["EmergingResult"];
export type DensityResult = Schemas["DensityResult"];
export type ForecastResult = Schemas["ForecastResult"];
export type ForecastScore = Schemas["ForecastScore"];
export type JobResult =
  | GiResult
  | ScanResult
  | KnoxResult
  | EmergingResult
  | DensityResult
  | ForecastResult;

const read = async <T>(address: string, signal?: AbortSignal): Promise<T> =>
  (await (await request(address, signal)).json()) as T;

export const jobs = {
  list: (pack: string, signal?: AbortSignal) =>
    read<Job[]>(`/api/jobs?pack=${encodeURIComponent(pack)}&limit=30`, signal),
  one: (id: number, signal?: AbortSignal) => read<Job>(`/api/jobs/${id}`, signal),
  start: async (question: object) =>
    (await (await send("POST", "/api/jobs", question)).json()) as Job,
  end: async (id: number) => (await (await send("DELETE", `/api/jobs/${id}`)).json()) as Job,
  result: (id: number, signal?: AbortSignal) => read<JobResult>(`/api/jobs/${id}/result`, signal),
  shapes: (id: number, signal?: AbortSignal) =>
    read<FeatureCollection>(`/api/jobs/${id}/result.geojson`, signal),
  /** Address of the result as a file. */
  file: (id: number, ending: "geojson" | "tif" | "png") => `/api/jobs/${id}/result.${ending}`,
};

/** Whether a job is still going to change by itself. */
export function isOpen(job: Job): boolean {
  return job.state === "queued" || job.state === "running";
}
