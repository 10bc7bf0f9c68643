/** Types of the API's answers, mirroring app/api/models.py. Imports nothing. */

export type Colour = "none" | "green" | "blue" | "yellow" | "orange" | "red";
export type Period = "month" | "quarter" | "year";
export const COLOURS = ["none", "green", "blue", "yellow", "orange", "red"] as const;
/** Legend order: worst first, no data last. */
export const CLASSES: readonly Colour[] = ["red", "orange", "yellow", "blue", "green", "none"];
export const PERIODS: readonly Period[] = ["month", "quarter", "year"];

export interface ErrorBody {
  code: string;
  message: string;
  detail: unknown;
  request_id: string;
}
export interface Words {
  zh: string;
  en: string;
}
export interface KindInfo {
  id: string;
  title: Words;
  harm: number | null;
  weights: Record<string, number>;
}
export interface MeasureInfo {
  id: string;
  title: Words;
  unit: Words;
}
export interface PeriodInfo {
  ord: number;
  start: string;
  end: string;
  complete: boolean;
}
export interface LevelInfo {
  id: string;
  title: Words;
  count: number;
  first_id: number;
  tiles: string;
  tilejson: string;
  min_zoom: number;
  max_zoom: number;
  counties: [string, number, number][];
}
export interface MapInfo {
  pack: string;
  title: Words;
  run: number;
  scene: string;
  scene_title: Words;
  boundary_version: string;
  approximate: boolean;
  simulated: boolean;
  published_at: string;
  data_cutoff: string | null;
  time_zone: string;
  bounds: [number, number, number, number];
  levels: LevelInfo[];
  kinds: KindInfo[];
  measures: MeasureInfo[];
  periods: Record<Period, PeriodInfo[]>;
  rule: { version: number; rows: Record<string, Record<string, number>> };
  located: Record<string, unknown>;
  grid_share: number | null;
  context_tiles: string | null;
}
export interface Manifest {
  version: string;
  maps: MapInfo[];
}
export interface UnitBrief {
  id: number;
  code: string;
  level: string;
  name: string;
  name_en: string | null;
  parent: string | null;
}
export interface UnitDetail extends UnitBrief {
  full_code: string | null;
  area_km2: number;
  approximate: boolean;
  bounds: [number, number, number, number];
  label_point: [number, number];
  ancestors: UnitBrief[];
  child_level: string | null;
  children_count: number;
}
export interface Estimate {
  theta: number;
  low: number;
  high: number;
  p: number;
}
export interface Contribution {
  kind: string;
  value: number;
  observed: number;
  expected: number;
  colour: Colour;
}
export interface RateChange {
  against: string;
  observed: number;
  ratio: number | null;
  low: number | null;
  high: number | null;
}
export interface Why {
  run: number;
  unit: UnitBrief;
  kind: string;
  period: Period;
  start: string;
  colour: Colour;
  previous_colour: Colour | null;
  observed: number | null;
  expected: number | null;
  estimate: Estimate | null;
  single: Estimate | null;
  single_ratio: number | null;
  alpha: number | null;
  remembered_observed: number | null;
  remembered_expected: number | null;
  memory_share: number | null;
  history_dropped: boolean;
  flags: string[];
  veto_kinds: string[];
  share: number | null;
  reference: UnitBrief | null;
  complexity: number | null;
  exposures: Record<string, number | null>;
  contributions: Contribution[];
  previous: RateChange | null;
  last_year: RateChange | null;
  index: number | null;
  rule_version: number;
}
export interface SeriesPoint {
  start: string;
  complete: boolean;
  observed: number | null;
  expected: number | null;
  theta: number | null;
  low: number | null;
  high: number | null;
  colour: Colour;
}
export interface Series {
  run: number;
  unit: UnitBrief;
  kind: string;
  period: Period;
  points: SeriesPoint[];
}
export interface RankingRow {
  unit: UnitBrief;
  colour: Colour;
  theta: number;
  observed: number;
  expected: number;
  rank: number;
  low: number;
  high: number;
}
export interface Ranking {
  run: number;
  level: string;
  kind: string;
  period: Period;
  start: string;
  within: string | null;
  of: number;
  total: number;
  rows: RankingRow[];
}
export interface ClassCount {
  colour: Colour;
  count: number;
  change: number | null;
}
export interface KindSummary {
  kind: string;
  observed: number;
  previous: number | null;
  change: RateChange | null;
  worst: Colour;
  counts: Record<Colour, number>;
}
export interface Summary {
  run: number;
  level: string;
  kind: string;
  period: Period;
  start: string;
  within: string | null;
  counts: ClassCount[];
  kinds: KindSummary[];
  trend: SeriesPoint[];
  class_trend: Record<Colour, number>[];
  located: Record<string, unknown>;
  grid_share: number | null;
}
export interface SearchHit {
  unit: UnitBrief;
  path: string;
  bounds: [number, number, number, number];
}
export interface SearchAnswer {
  query: string;
  hits: SearchHit[];
}
