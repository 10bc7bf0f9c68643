/** Shapes as the server says them, back into ours. */
import { type AreaBody, analysis } from "../api/analysis";
import { settled } from "../draw/encode";
import type { Ring, Shape } from "../draw/shapes";

/** A body we wrote ourselves; null: only the server can read it (WKT, another CRS, a combination). */
export function ownShape(area: AreaBody): Shape | null {
  if ((area.crs ?? "wgs84") !== "wgs84" || area.snap_metres) return null;
  if (area.circle) {
    const { lon, lat, metres } = area.circle;
    return settled({ kind: "circle", centre: [lon, lat], metres });
  }
  if (area.corridor) {
    return settled({
      kind: "corridor",
      line: area.corridor.coordinates,
      metres: area.corridor.metres,
    });
  }
  if (area.units) return { kind: "units", codes: [...area.units] };
  const geometry = area.geojson as { type?: string; coordinates?: unknown } | undefined;
  if (geometry?.type === "Polygon") {
    return settled({ kind: "polygon", parts: [geometry.coordinates as Ring[]] });
  }
  if (geometry?.type === "MultiPolygon") {
    return settled({ kind: "polygon", parts: geometry.coordinates as Ring[][] });
  }
  return null;
}

export async function shapeOf(pack: string, area: object): Promise<Shape> {
  const body = area as AreaBody;
  const own = ownShape(body);
  if (own) return own;
  const info = await analysis.shape(pack, body);
  return { kind: "polygon", parts: info.geojson.coordinates as Ring[][] };
}
