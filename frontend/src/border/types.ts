/** Names for what the border's routes answer. */

import type { Colour, Period } from "../api/models";
import type { components } from "../api/types.gen";
import type { Position } from "../draw/shapes";
import type { Seen } from "./clusters";

type Schemas = components["schemas"];

export type BorderLines = Schemas["BorderLines"];
export type SideName = Schemas["Side"];
export type Where = Schemas["Where"];
export type Desk = Schemas["Desk"];
export type Checkpoint = Schemas["Checkpoint"];
export type Zone = Schemas["Zone"];
export type ZoneDetail = Schemas["ZoneDetail"];
export type ZoneVersion = Schemas["ZoneVersion"];
export type ZoneList = Schemas["ZoneList"];
export type ZoneDraft = Schemas["ZoneDraft"];
export type ZoneIndex = Schemas["ZoneIndex"];
export type Check = Schemas["Check"];
export type CheckList = Schemas["CheckList"];
export type CheckState = Check["state"];

export interface Words2 {
  zh: string;
  en: string;
}

export interface Device {
  id: number;
  kind: string;
  code: string | null;
  name: string;
  lon: number;
  lat: number;
  side: string;
  state: "online" | "flapping" | "offline";
  last_seen: string | null;
  alarming: boolean;
  alarm?: { id: number; rule: string; since: string; words: Words2 } | null;
}

export interface PooledRun {
  id: number;
  period: Period;
  ord: number;
  from: string;
  to: string;
  cutoff: string | null;
  method: Words2;
  resolution: number;
  delay_days: number;
  min_count: number;
  sides: string[];
  alpha: number;
}

export interface ClusterSide {
  side: string;
  name: string;
  observed: number | null;
  expected: number | null;
  p_alone: number | null;
}

export interface Cluster {
  number: number;
  seen: Seen;
  p: number;
  observed: number | null;
  expected: number | null;
  relative_risk: number | null;
  low: number | null;
  high: number | null;
  colour?: Colour;
  kind: string;
  from: string;
  to: string;
  sides: ClusterSide[];
  reasons: Words2 | null;
  centre: Position;
  radius_m: number;
  name: string;
}
