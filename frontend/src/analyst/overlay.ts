/**
 * What the page lays over the map: the veil outside, outlines, corners, hotspots, surfaces. Sources are
 * made once and fed; a new style of the map carries them over (`command/overlays`).
 */
import type { FeatureCollection } from "geojson";
import type { GeoJSONSource, LayerSpecification, MapLibreMap } from "maplibre-gl";
import { firstNames } from "../command/overlays";
import type { Guide } from "../draw/drawer";
import { collection, feature, NOTHING } from "../draw/guides";
import type { Position, Ring } from "../draw/shapes";
import type { Theme } from "../style/theme";

export const VEIL = "under-veil";
export const FOUND = "under-found";
const SURFACE = "under-surface";
const GROUND = "under-ground";
const AREAS = "over-areas";
const CORRIDOR = "over-corridor";
const GUIDES = "over-guides";
const SQUARE = "over-square";
const DISC = "over-disc";
export const DOTS = "over-dots";

/** A ring around the whole world: what is not in a hole of it is veiled. */
const WORLD: Ring = [
  [-180, -85],
  [180, -85],
  [180, 85],
  [-180, 85],
  [-180, -85],
];

function layers(theme: Theme): { under: LayerSpecification[]; over: LayerSpecification[] } {
  const n = theme.neutral;
  const line = { "line-join": "round", "line-cap": "round" } as const;
  return {
    under: [
      {
        id: "under-veil",
        type: "fill",
        source: VEIL,
        paint: { "fill-color": n.surface, "fill-opacity": 0.78, "fill-antialias": false },
      },
      {
        id: "under-found-dots",
        type: "fill",
        source: FOUND,
        filter: ["==", ["get", "mark"], "hot"],
        paint: { "fill-pattern": DOTS, "fill-antialias": false },
      },
      {
        id: "under-found-casing",
        type: "line",
        source: FOUND,
        layout: line,
        filter: ["!=", ["get", "mark"], "hot"],
        paint: { "line-color": n.paper, "line-width": 4.4 },
      },
      {
        id: "under-found-line",
        type: "line",
        source: FOUND,
        layout: line,
        filter: ["in", ["get", "mark"], ["literal", ["line", "cluster"]]],
        paint: { "line-color": n.ink, "line-width": ["coalesce", ["get", "width"], 1.7] },
      },
      {
        id: "under-found-cold",
        type: "line",
        source: FOUND,
        filter: ["==", ["get", "mark"], "cold"],
        paint: { "line-color": n.ink, "line-width": 1.2, "line-dasharray": [3, 2] },
      },
    ],
    over: [
      {
        id: "over-corridor",
        type: "line",
        source: CORRIDOR,
        paint: { "line-color": n.ink, "line-width": 1.2, "line-dasharray": [4, 3] },
      },
      {
        id: "over-casing",
        type: "line",
        source: AREAS,
        layout: line,
        paint: { "line-color": n.paper, "line-width": ["case", ["get", "active"], 7, 4] },
      },
      {
        id: "over-line",
        type: "line",
        source: AREAS,
        layout: line,
        paint: {
          "line-color": ["case", ["get", "active"], n.ink, n.ink2],
          "line-width": ["case", ["get", "active"], 3, 1.6],
        },
      },
      {
        id: "over-ranks",
        type: "symbol",
        source: FOUND,
        filter: ["has", "rank"],
        layout: {
          "text-field": ["to-string", ["get", "rank"]],
          "text-font": ["Wusetu Bold", "Inter"],
          "text-size": 13,
          "text-allow-overlap": true,
        },
        paint: { "text-color": n.ink, "text-halo-color": n.paper, "text-halo-width": 2.5 },
      },
      {
        id: "over-middles",
        type: "circle",
        source: GUIDES,
        filter: ["==", ["get", "role"], "middle"],
        paint: {
          "circle-radius": 2.6,
          "circle-color": n.paper,
          "circle-stroke-color": n.ink,
          "circle-stroke-width": 1.4,
        },
      },
      {
        id: "over-corners",
        type: "symbol",
        source: GUIDES,
        filter: ["!=", ["get", "role"], "middle"],
        layout: {
          "icon-image": ["case", ["==", ["get", "role"], "snapped"], DISC, SQUARE],
          "icon-allow-overlap": true,
          "icon-ignore-placement": true,
        },
      },
    ],
  };
}

function canvas(size: number): CanvasRenderingContext2D {
  const one = document.createElement("canvas");
  one.width = size;
  one.height = size;
  return one.getContext("2d") as CanvasRenderingContext2D;
}

/** Corner of 9 px, white with an ink edge or filled; dots of a third, drawn at twice the size. */
function images(theme: Theme): Record<string, ImageData> {
  const n = theme.neutral;
  const square = (fill: string) => {
    const pen = canvas(22);
    pen.fillStyle = n.ink;
    pen.beginPath();
    pen.roundRect(1, 1, 20, 20, 4);
    pen.fill();
    pen.fillStyle = fill;
    pen.fillRect(4, 4, 14, 14);
    return pen.getImageData(0, 0, 22, 22);
  };
  const dots = canvas(12);
  dots.fillStyle = theme.dark ? "#FFFFFF" : "#12161C";
  dots.globalAlpha = theme.dark ? 0.7 : 0.75;
  for (const [x, y] of [
    [3, 3],
    [9, 9],
  ] as const) {
    dots.beginPath();
    dots.arc(x, y, 1.7, 0, 7);
    dots.fill();
  }
  return {
    [SQUARE]: square(n.paper),
    [DISC]: square(n.ink),
    [DOTS]: dots.getImageData(0, 0, 12, 12),
  };
}

export class Overlay {
  constructor(private readonly map: MapLibreMap) {
    for (const id of [VEIL, FOUND, CORRIDOR, AREAS, GUIDES]) {
      map.addSource(id, { type: "geojson", data: NOTHING, tolerance: 0.1 });
    }
  }

  private ground = "#F4F5F6";

  /** Draw in the inks of a theme; called again when it changes. */
  dress(theme: Theme): void {
    const { map } = this;
    this.ground = theme.neutral.land;
    for (const [id, image] of Object.entries(images(theme))) {
      if (map.hasImage(id)) map.removeImage(id);
      map.addImage(id, image, { pixelRatio: 2 });
    }
    const { under, over } = layers(theme);
    const names = firstNames(map.getStyle().layers);
    for (const [list, before] of [
      [under, names],
      [over, undefined],
    ] as const) {
      for (const layer of list) {
        if (map.getLayer(layer.id)) map.removeLayer(layer.id);
        map.addLayer(layer, before);
      }
    }
  }

  /** Veil everything but these outlines; none: no veil. */
  veil(parts: readonly Ring[][]): void {
    if (parts.length === 0) {
      this.feed(VEIL, NOTHING);
      return;
    }
    // holes of the areas are veiled again
    const outer = parts.map((rings) => rings[0] as Ring);
    const inner = parts.flatMap((rings) => rings.slice(1));
    this.feed(
      VEIL,
      collection([
        feature({ type: "Polygon", coordinates: [WORLD, ...outer] }),
        ...inner.map((ring) => feature({ type: "Polygon", coordinates: [ring] })),
      ]),
    );
  }

  areas(list: readonly { parts: Ring[][]; active: boolean }[]): void {
    this.feed(
      AREAS,
      collection(
        list.map(({ parts, active }) =>
          feature({ type: "MultiLineString", coordinates: parts.flat() }, { active }),
        ),
      ),
    );
  }

  /** The line in the middle of a corridor. */
  middle(line: readonly Position[]): void {
    this.feed(
      CORRIDOR,
      line.length < 2
        ? NOTHING
        : collection([feature({ type: "LineString", coordinates: [...line] })]),
    );
  }

  guides(guides: readonly Guide[]): void {
    this.feed(
      GUIDES,
      collection(
        guides.map(({ at, role }) => feature({ type: "Point", coordinates: at }, { role })),
      ),
    );
  }

  found(data: FeatureCollection | null): void {
    this.feed(FOUND, data ?? NOTHING);
  }

  /** A picture of a surface under the veil; null takes it away. */
  surface(picture: { url: string; bounds: readonly number[] } | null): void {
    const { map } = this;
    for (const id of [SURFACE, GROUND]) {
      if (map.getLayer(id)) map.removeLayer(id);
      if (map.getSource(id)) map.removeSource(id);
    }
    if (!picture) return;
    const [west, south, east, north] = picture.bounds as [number, number, number, number];
    // greys over the five colours would be read as a second scale: the ground is blank under a surface
    const ring = [
      [west, north],
      [east, north],
      [east, south],
      [west, south],
      [west, north],
    ];
    map.addSource(GROUND, {
      type: "geojson",
      data: feature({ type: "Polygon", coordinates: [ring] }),
    });
    map.addLayer(
      { id: GROUND, type: "fill", source: GROUND, paint: { "fill-color": this.ground } },
      VEIL,
    );
    map.addSource(SURFACE, {
      type: "image",
      url: new URL(picture.url, location.origin).href,
      coordinates: [
        [west, north],
        [east, north],
        [east, south],
        [west, south],
      ],
    });
    map.addLayer(
      {
        id: SURFACE,
        type: "raster",
        source: SURFACE,
        paint: { "raster-resampling": "linear", "raster-fade-duration": 0 },
      },
      VEIL,
    );
  }

  private feed(id: string, data: FeatureCollection): void {
    (this.map.getSource(id) as GeoJSONSource | undefined)?.setData(data);
  }
}
