/**
 * Keeps a box of the earth framed while nobody has moved the map since: when its container or the room that
 * must stay free changes, the same box is fitted again. A reader's own view is never touched.
 */
import type { MapLibreMap } from "maplibre-gl";
import { unwrapped } from "../state/bounds";

/** Room kept free at the edges, CSS px. */
export interface Padding {
  top: number;
  right: number;
  bottom: number;
  left: number;
}

type Camera = Pick<MapLibreMap, "getCenter" | "getZoom">;
/** Where a fit put the camera. */
interface Spot {
  lng: number;
  lat: number;
  zoom: number;
}

const NEAR_PX = 0.5;
const NEAR_ZOOM = 0.001;

/** Whether a camera still stands where it was put, to half a pixel of 512-px tiles. */
export function standsAt(camera: Camera, spot: Spot): boolean {
  const { lng, lat } = camera.getCenter();
  const perDegree = (512 * 2 ** spot.zoom) / 360;
  return (
    Math.abs(camera.getZoom() - spot.zoom) < NEAR_ZOOM &&
    Math.max(Math.abs(lng - spot.lng), Math.abs(lat - spot.lat)) * perDegree < NEAR_PX
  );
}

/** Whether padding leaves anything of a container of `width` × `height` px. */
export function hasRoom(width: number, height: number, padding: Padding): boolean {
  return width > padding.left + padding.right && height > padding.top + padding.bottom;
}

export class Framing {
  private box: readonly number[] | null = null;
  private maxZoom = 15;
  private spot: Spot | null = null;
  private easing = false;

  constructor(
    private readonly map: MapLibreMap,
    private readonly padding: () => Padding,
  ) {
    map.on("resize", () => this.follow());
    map.on("moveend", () => {
      this.easing = false;
    });
  }

  /** The map was made with this box in sight. */
  made(box: readonly number[], maxZoom = 15): void {
    this.box = box;
    this.maxZoom = maxZoom;
    this.spot = this.here();
  }

  /** Bring a box into sight within `duration` ms. */
  fit(box: readonly number[], duration: number, maxZoom = 15): void {
    const { map } = this;
    const { clientWidth, clientHeight } = map.getContainer();
    this.box = box;
    this.maxZoom = maxZoom;
    this.spot = null;
    if (!hasRoom(clientWidth, clientHeight, this.padding())) return;
    const camera = map.cameraForBounds(unwrapped(box), { padding: this.padding(), maxZoom });
    if (!camera) return;
    if (duration <= 0) {
      map.jumpTo(camera);
      this.spot = this.here();
      return;
    }
    const centre = camera.center as { lng: number; lat: number };
    this.spot = { lng: centre.lng, lat: centre.lat, zoom: camera.zoom ?? map.getZoom() };
    map.easeTo({ ...camera, duration });
    this.easing = map.isMoving();
  }

  /** Fit the same box again, unless the map was moved since. */
  follow(): void {
    if (!this.box || !this.spot) return;
    if (this.easing || standsAt(this.map, this.spot)) this.fit(this.box, 0, this.maxZoom);
  }

  private here(): Spot {
    const { lng, lat } = this.map.getCenter();
    return { lng, lat, zoom: this.map.getZoom() };
  }
}
