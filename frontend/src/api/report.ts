/**
 * Scenes, indicators, league tables and the monthly brief: what the server answers and where it is asked.
 * Knows no screen.
 */
import { request } from "./client";
import type { components } from "./types.gen";

type Schemas = components["schemas"];

export type SceneList = Schemas["SceneList"];
export type IndicatorInfo = Schemas["IndicatorInfo"];
export type CalendarPeriod = Schemas["CalendarPeriod"];
export type IndicatorValue = Schemas["IndicatorValue"];
export type IndicatorValues = Schemas["IndicatorValues"];
export type IndicatorChange = NonNullable<IndicatorValue["change"]["previous"]>;
export type League = Schemas["League"];
export type LeagueRow = Schemas["LeagueRow"];
export type FeedState = Schemas["FeedState"];
export type PaletteInfo = Schemas["PaletteInfo"];
export type FieldInfo = Schemas["FieldInfo"];
export type AlertList = Schemas["AlertList"];
export type Alert = Schemas["Alert"];

/** Length of a period of indicators; the report shows day, month and year. */
export type Calendar = IndicatorValues["period"];

// JSON Schema says which keys this object has, the generator does not: restored here.
export type IndicatorRun = Omit<Schemas["IndicatorRun"], "periods"> & {
  periods: Partial<Record<Calendar, CalendarPeriod[]>>;
};
export type SceneDetail = Omit<Schemas["SceneDetail"], "runs"> & { runs: IndicatorRun[] };

export interface ReportQuestion {
  scene: string;
  pack: string;
  /** Run the numbers are of: another one is another question, though the address is the same. */
  run: number;
  level: string;
  period: Calendar;
  ord: number;
  within: string;
}

function query(parts: Record<string, string | number>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(parts)) {
    if (value !== "") search.set(name, String(value));
  }
  return search.toString();
}

const at = encodeURIComponent;

export const reportAddresses = {
  scenes: "/api/scenes",
  scene: (scene: string) => `/api/scenes/${at(scene)}`,
  values: ({ scene, run: _, ...rest }: ReportQuestion) =>
    `/api/indicators/${at(scene)}/values?${query({ ...rest })}`,
  league: ({ scene, run: _, ...rest }: ReportQuestion, indicator: string) =>
    `/api/indicators/${at(scene)}/league?${query({ ...rest, indicator })}`,
  alerts: (pack: string, within: string) =>
    `/api/alerts?${query({ pack, state: "open", within, limit: 30 })}`,
  brief: (pack: string, month: string, within: string, lang: string) =>
    `/api/packs/${at(pack)}/brief?${query({ month, within, format: "pdf", lang })}`,
};

/** Nothing is kept: a new run may be published, an alert opened, at any time. */
export async function get<T>(address: string, signal?: AbortSignal): Promise<T> {
  return (await (await request(address, signal)).json()) as T;
}
