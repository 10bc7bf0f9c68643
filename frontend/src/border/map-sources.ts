/** What the border map draws, as sources of its style: everything known, and how each is to be seen. */
import type { StyleSpecification } from "maplibre-gl";
import type { MapInfo } from "../api/models";
import { sourceOf } from "../command/map-style";
import type { Lang } from "../state/hash";
import type { Theme } from "../style/theme";
import { clusterFeatures } from "./clusters";
import type { BorderLines, Checkpoint, Cluster, Device, PooledRun, Zone } from "./types";

export interface MapInput {
  map: MapInfo;
  theme: Theme;
  lang: Lang;
  phone: boolean;
  /** By how much lines, letters and symbols are larger than on a desk. */
  scale: number;
  /** Patterns of the classes over the cells. */
  pattern: boolean;
  lines: BorderLines | undefined;
  zones: readonly Zone[];
  checkpoints: readonly Checkpoint[];
  devices: readonly Device[];
  clusters: readonly Cluster[];
  run: PooledRun | undefined;
  /** Numbers of the selected cluster and zone; 0: none. */
  cluster: number;
  zone: number;
  /** Kind whose classes the cells have. */
  kind: string;
}

/** Levels drawn as lines, coarse first. */
export const LEVELS = ["city", "county", "town"];

const collection = (features: GeoJSON.Feature[]): GeoJSON.FeatureCollection => ({
  type: "FeatureCollection",
  features,
});
const point = (
  lon: number,
  lat: number,
  properties: GeoJSON.GeoJsonProperties,
): GeoJSON.Feature => ({
  type: "Feature",
  properties,
  geometry: { type: "Point", coordinates: [lon, lat] },
});

/** How a zone is drawn: agreed, not agreed yet, over. */
export function zoneLook(zone: Zone): "live" | "proposed" | "over" {
  const { state, in_force } = zone.version ?? { state: "expired", in_force: false };
  if (in_force) return "live";
  return state === "draft" || state === "proposed" || state === "live" ? "proposed" : "over";
}

export function sourcesOf(input: MapInput): StyleSpecification["sources"] {
  const { map, zones, clusters } = input;
  const origin = typeof location === "undefined" ? "http://localhost" : location.origin;
  const tiles = (template: string) => [
    new URL(template, origin).href.replaceAll("%7B", "{").replaceAll("%7D", "}"),
  ];
  // the map is bounded by one's own side: tiles reach across the line, so they have no bounds
  const sources: StyleSpecification["sources"] = {};
  for (const level of map.levels) {
    if (level.tiles === "" || !LEVELS.includes(level.id)) continue;
    sources[sourceOf(level.id)] = {
      type: "vector",
      tiles: tiles(level.tiles),
      minzoom: level.min_zoom,
      maxzoom: level.max_zoom,
    };
  }
  if (map.context_tiles) {
    sources.context = { type: "vector", tiles: tiles(map.context_tiles), maxzoom: 10 };
  }
  if (input.run) {
    sources.pooled = {
      type: "vector",
      tiles: tiles(input.run.tiles),
      minzoom: 4,
      maxzoom: 12,
    };
  }
  const data = (all: GeoJSON.Feature[]) => ({ type: "geojson" as const, data: collection(all) });
  sources.lines = data(
    (input.lines?.lines ?? []).map((one) => ({
      type: "Feature",
      properties: {},
      geometry: one.geometry as unknown as GeoJSON.MultiLineString,
    })),
  );
  sources.zones = data(
    zones.flatMap((one): GeoJSON.Feature[] =>
      one.version?.geometry
        ? [
            {
              type: "Feature",
              properties: {
                id: one.id,
                name: one.name,
                look: zoneLook(one),
                selected: one.id === input.zone,
              },
              geometry: one.version.geometry as unknown as GeoJSON.Polygon,
            },
          ]
        : [],
    ),
  );
  sources.clusters = { type: "geojson", data: clusterFeatures(clusters, input.cluster) };
  sources.symbols = data([
    ...input.devices.map((one) =>
      point(one.lon, one.lat, {
        what: "device",
        id: one.id,
        state: one.state,
        alarming: one.alarming,
      }),
    ),
    ...input.checkpoints.map((one) =>
      point(one.lon, one.lat, { what: "checkpoint", id: one.id, name: one.name }),
    ),
  ]);
  // these two follow the hand and the device: the page fills them by itself
  sources.draft = data([]);
  sources.leader = data([]);
  return sources;
}
