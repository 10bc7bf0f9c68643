/** Names for the types generated from the server's OpenAPI (`npm run types`), and the classes' order. */
import type { components } from "./types.gen";

type Schemas = components["schemas"];

export type ErrorBody = Schemas["ErrorBody"];
export type KindInfo = Schemas["KindInfo"];
export type MeasureInfo = Schemas["MeasureInfo"];
export type PeriodInfo = Schemas["PeriodInfo"];
export type LevelInfo = Schemas["LevelInfo"];
export type CellInfo = Schemas["CellInfo"];
export type CellChunk = Schemas["CellChunk"];
export type CellCounts = Schemas["CellCounts"];
export type CellWhy = Schemas["CellWhy"];
export type UnitBrief = Schemas["UnitBrief"];
export type UnitDetail = Schemas["UnitDetail"];
export type Estimate = Schemas["Estimate"];
export type Contribution = Schemas["Contribution"];
export type RateChange = Schemas["RateChange"];
export type Why = Schemas["Why"];
export type SeriesPoint = Schemas["SeriesPoint"];
export type Series = Schemas["Series"];
export type RankingRow = Schemas["RankingRow"];
export type Ranking = Schemas["Ranking"];
export type ClassCount = Schemas["ClassCount"];
export type SearchHit = Schemas["SearchHit"];
export type SearchAnswer = Schemas["SearchAnswer"];

export type Colour = ClassCount["colour"];
export type Period = Why["period"];

// JSON Schema says which keys these objects have, the generator does not: restored here.
export type Counts = Record<Colour, number>;
export type MapInfo = Omit<Schemas["MapInfo"], "periods"> & {
  periods: Record<Period, PeriodInfo[]>;
};
export type Manifest = Omit<Schemas["Manifest"], "maps"> & { maps: MapInfo[] };
export type KindSummary = Omit<Schemas["KindSummary"], "counts"> & { counts: Counts };
export type Summary = Omit<Schemas["Summary"], "kinds" | "class_trend"> & {
  kinds: KindSummary[];
  class_trend: Counts[];
};

/** A class by its byte in the packed values. */
export const COLOURS: readonly Colour[] = ["none", "green", "blue", "yellow", "orange", "red"];
/** Legend order: worst first, no data last. */
export const CLASSES: readonly Colour[] = ["red", "orange", "yellow", "blue", "green", "none"];
export const PERIODS: readonly Period[] = ["month", "quarter", "year"];
