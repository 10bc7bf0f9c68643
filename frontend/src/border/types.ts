/** Names for what the border's routes answer. */

import type { components } from "../api/types.gen";

type Schemas = components["schemas"];

export type BorderLines = Schemas["BorderLines"];
export type SideName = Schemas["Side"];
export type Where = Schemas["Where"];
export type Desk = Schemas["Desk"];
export type PresenceList = Schemas["PresenceList"];
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

export type Device = Schemas["Device"];
export type DeviceList = Schemas["DeviceList"];
export type PooledRun = Schemas["PooledRun"];
export type PooledJob = Schemas["PooledJob"];
export type PooledList = Schemas["PooledList"];
export type PooledClusters = Schemas["PooledClusters"];
export type Cluster = Schemas["PooledCluster"];
export type ClusterSide = Schemas["PooledSide"];
