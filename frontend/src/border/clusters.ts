/** Joint clusters as the map draws them: rings, rays and numbers. Pure. */
import { circleRing, type Position } from "../draw/shapes";
import type { Cluster } from "./types";

export type Seen = Cluster["seen"];
export const SEEN: readonly Seen[] = ["together", "several", "one"];

/** Clockwise, so that what stands on its left lies outside. */
export function ringOf(centre: Position, metres: number): Position[] {
  const ring = circleRing(centre, metres, 96);
  let twice = 0;
  for (let i = 1; i < ring.length; i++) {
    const [a, b] = [ring[i - 1] as Position, ring[i] as Position];
    twice += (b[0] - a[0]) * (b[1] + a[1]);
  }
  return twice > 0 ? ring : ring.toReversed();
}

export function clusterFeatures(
  clusters: readonly Cluster[],
  selected: number,
): GeoJSON.FeatureCollection {
  return {
    type: "FeatureCollection",
    features: clusters.flatMap((one): GeoJSON.Feature[] => {
      const ring = ringOf(one.centre, Math.max(one.radius_m, 600));
      const east = ring.reduce((a, b) => (b[0] + b[1] > a[0] + a[1] ? b : a));
      const properties = {
        number: one.number,
        seen: one.seen,
        selected: one.number === selected,
      };
      return [
        { type: "Feature", properties, geometry: { type: "LineString", coordinates: ring } },
        { type: "Feature", properties, geometry: { type: "Point", coordinates: east } },
      ];
    }),
  };
}
