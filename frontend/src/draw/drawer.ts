/**
 * The hand on the map: terra-draw hears mouse, pen, fingers and keys and keeps the geometry that is being
 * made or changed; what it would draw is invisible, the page draws areas itself. Every change of a shape
 * comes out as one of ours, rounded as a link keeps it.
 */
import type { MapLibreMap } from "maplibre-gl";
import {
  type GeoJSONStoreFeatures,
  type SnapToCustom,
  TerraDraw,
  TerraDrawCircleMode,
  TerraDrawFreehandMode,
  TerraDrawLineStringMode,
  TerraDrawModeUndoRedo,
  TerraDrawPolygonMode,
  TerraDrawRectangleMode,
  TerraDrawRenderMode,
  TerraDrawSelectMode,
} from "terra-draw";
import { TerraDrawMapLibreGLAdapter } from "terra-draw-maplibre-gl-adapter";
import { settled } from "./encode";
import {
  circleRing,
  distance,
  type Position,
  type Ring,
  rounded,
  type Shape,
  simplified,
} from "./shapes";

export type Tool = "polygon" | "rectangle" | "circle" | "corridor" | "freehand";

/** Layers and sources of terra-draw begin so; a new style has to keep them. */
export const PREFIX = "td";

/** A corner, a middle between two, or the place a border pulled the hand to. */
export interface Guide {
  at: Position;
  role: "corner" | "middle" | "snapped";
}

export interface DrawerEvents {
  /** While the hand moves. */
  onMoving: (shape: Shape | null, guides: Guide[]) => void;
  /** A new shape is finished. */
  onDrawn: (shape: Shape) => void;
  /** The shape being edited was changed and let go of. */
  onEdited: (shape: Shape) => void;
  /** Whether a drawing is under way, and of how many corners. */
  onDrawing: (corners: number) => void;
  /** Border near a place, or null. */
  snap: (at: Position) => Position | null;
  /** Half the width of a new corridor, metres. */
  corridor: () => number;
}

const MODE: Record<Tool, string> = {
  polygon: "polygon",
  rectangle: "rectangle",
  circle: "circle",
  corridor: "linestring",
  freehand: "freehand",
};
/** Corners of a freehand ring that move it less than this are dropped, CSS px. */
const LOOSE_PX = 1.5;
const HIDDEN = {
  fillOpacity: 0,
  outlineOpacity: 0,
  outlineWidth: 0,
  closingPointOpacity: 0,
  closingPointOutlineOpacity: 0,
  snappingPointOpacity: 0,
  snappingPointOutlineOpacity: 0,
  coordinatePointOpacity: 0,
  coordinatePointOutlineOpacity: 0,
} as const;

export class Drawer {
  private readonly draw: TerraDraw;
  private edited: { id: string | number; shape: Shape } | null = null;
  /** Own changes of the store are not the hand's. */
  private quiet = false;

  constructor(
    private readonly map: MapLibreMap,
    private readonly events: DrawerEvents,
  ) {
    const toCustom: SnapToCustom = (event) => events.snap([event.lng, event.lat]) ?? undefined;
    const snapping = { toCustom };
    const corners = {
      feature: {
        draggable: true,
        coordinates: { midpoints: true, draggable: true, deletable: true, snappable: snapping },
      },
    };
    this.draw = new TerraDraw({
      adapter: new TerraDrawMapLibreGLAdapter({ map, prefixId: PREFIX, coordinatePrecision: 9 }),
      undoRedo: { modeLevel: new TerraDrawModeUndoRedo() },
      modes: [
        new TerraDrawPolygonMode({ styles: HIDDEN, snapping, pointerDistance: 22 }),
        new TerraDrawRectangleMode({ styles: HIDDEN, drawInteraction: "click-move-or-drag" }),
        new TerraDrawCircleMode({
          styles: HIDDEN,
          drawInteraction: "click-move-or-drag",
          projection: "globe",
          segments: 96,
        }),
        new TerraDrawLineStringMode({
          styles: { lineStringOpacity: 0, closingPointOpacity: 0, closingPointOutlineOpacity: 0 },
          snapping,
          pointerDistance: 22,
        }),
        new TerraDrawFreehandMode({
          styles: HIDDEN,
          drawInteraction: "click-move-or-drag",
          minDistance: 6,
          smoothing: 0.3,
        }),
        new TerraDrawRenderMode({ modeName: "rest", styles: {} }),
        new TerraDrawSelectMode({
          pointerDistance: 22,
          allowManualDeselection: false,
          styles: {
            selectedPolygonFillOpacity: 0,
            selectedPolygonOutlineOpacity: 0,
            selectedLineStringOpacity: 0,
            selectionPointOpacity: 0,
            selectionPointOutlineOpacity: 0,
            midPointOpacity: 0,
            midPointOutlineOpacity: 0,
          },
          flags: {
            polygon: corners,
            linestring: corners,
            circle: { feature: { draggable: true, coordinates: { resizable: "center-fixed" } } },
          },
        }),
      ],
    });
    this.draw.start();
    this.draw.setMode("rest");
    this.draw.on("change", () => this.changed());
    this.draw.on("finish", (id, context) => this.finished(id, context.action));
  }

  /** Take a tool into the hand. */
  take(tool: Tool): void {
    this.clear();
    this.draw.setMode(MODE[tool]);
    this.events.onDrawing(0);
  }

  /** Lay every tool down. */
  rest(): void {
    this.clear();
    this.draw.setMode("rest");
    this.events.onDrawing(0);
    this.events.onMoving(null, []);
  }

  /** Change the corners of a shape; one without corners of its own lets the hand rest. */
  edit(shape: Shape): void {
    const mode = editMode(shape);
    this.clear();
    if (!mode) {
      this.draw.setMode("rest");
      this.events.onMoving(null, []);
      return;
    }
    const id = this.draw.getFeatureId();
    this.quiet = true;
    const [added] = this.draw.addFeatures([
      {
        id,
        type: "Feature",
        geometry: mode.geometry,
        properties: {
          mode: mode.mode,
          ...(shape.kind === "circle" ? { radiusKilometers: shape.metres / 1000 } : {}),
        },
      },
    ]);
    this.quiet = false;
    if (!added?.valid) {
      this.draw.setMode("rest");
      this.events.onMoving(null, []);
      return;
    }
    this.edited = { id, shape };
    this.draw.selectFeature(id);
    this.events.onMoving(null, this.guides());
  }

  /** End the drawing with the corners there are, as Enter does. */
  finish(): void {
    this.key("Enter");
  }

  cancel(): void {
    this.key("Escape");
    this.events.onDrawing(0);
    this.events.onMoving(null, []);
  }

  /** Take the last corner back; false: there is none, the page may undo a whole shape. */
  undo(): boolean {
    return this.draw.getModeState() === "drawing" && this.draw.canUndo() && this.draw.undo();
  }

  redo(): boolean {
    return this.draw.getModeState() === "drawing" && this.draw.canRedo() && this.draw.redo();
  }

  stop(): void {
    if (this.draw.enabled) this.draw.stop();
  }

  private key(key: string): void {
    const target = this.map.getCanvas();
    for (const type of ["keydown", "keyup"]) {
      target.dispatchEvent(new KeyboardEvent(type, { key, bubbles: false }));
    }
  }

  private clear(): void {
    this.edited = null;
    this.quiet = true;
    this.draw.clear();
    this.quiet = false;
  }

  private finished(id: string | number, action: string): void {
    const found = this.draw.getSnapshotFeature(id);
    if (!found) return;
    if (this.edited?.id === id) {
      const shape = this.shapeOf(found, this.edited.shape);
      if (!shape) return;
      this.edited = { id, shape };
      this.events.onEdited(shape);
    } else if (action === "draw") {
      const shape = this.shapeOf(found, null);
      // terra-draw is still inside its own handler: it is emptied when it is done
      queueMicrotask(() => {
        this.events.onDrawing(0);
        if (shape) this.events.onDrawn(shape);
      });
    }
  }

  private changed(): void {
    if (this.quiet) return;
    const all = this.draw.getSnapshot();
    const main = all.find((one) =>
      this.edited ? one.id === this.edited.id : one.properties.currentlyDrawing === true,
    );
    if (!main) return;
    const guides = this.guides();
    if (!this.edited) {
      const fixed = drawnCorners(main);
      guides.push(...fixed.map((at): Guide => ({ at, role: "corner" })));
      this.events.onDrawing(fixed.length || 1);
    }
    this.events.onMoving(this.shapeOf(main, this.edited?.shape ?? null), guides);
  }

  private guides(): Guide[] {
    return this.draw.getSnapshot().flatMap((one): Guide[] => {
      if (one.geometry.type !== "Point") return [];
      const { selectionPoint, midPoint, snappingPoint } = one.properties;
      const at = one.geometry.coordinates as Position;
      if (selectionPoint) return [{ at, role: "corner" }];
      if (midPoint) return [{ at, role: "middle" }];
      return snappingPoint ? [{ at, role: "snapped" }] : [];
    });
  }

  private shapeOf(one: GeoJSONStoreFeatures, before: Shape | null): Shape | null {
    const { geometry, properties } = one;
    if (geometry.type === "LineString") {
      const line = withoutRepeats(geometry.coordinates.map(rounded));
      const metres = before?.kind === "corridor" ? before.metres : this.events.corridor();
      return line.length < 2 ? null : settled({ kind: "corridor", line, metres });
    }
    if (geometry.type !== "Polygon") return null;
    let ring = geometry.coordinates[0] as Ring;
    if (properties.mode === "circle") return circleOf(ring);
    if (properties.mode === "freehand") ring = simplified(ring, LOOSE_PX * this.metresPerPx());
    const kept = withoutRepeats(ring.map(rounded));
    return kept.length < 4 ? null : { kind: "polygon", parts: [[kept]] };
  }

  private metresPerPx(): number {
    const { lat } = this.map.getCenter();
    return (40_075_016.686 * Math.cos((lat * Math.PI) / 180)) / (512 * 2 ** this.map.getZoom());
  }
}

/** Corners that stay: the last one of a drawing is the hand itself. */
function drawnCorners(one: GeoJSONStoreFeatures): Position[] {
  const { geometry, properties } = one;
  if (properties.mode === "freehand" || properties.mode === "circle") return [];
  if (geometry.type === "LineString") return (geometry.coordinates as Position[]).slice(0, -1);
  if (geometry.type === "Polygon")
    return ((geometry.coordinates[0] ?? []) as Position[]).slice(0, -2);
  return [];
}

function withoutRepeats(line: Position[]): Position[] {
  return line.filter((one, i) => i === 0 || one.join() !== (line[i - 1] as Position).join());
}

/** Centre and radius of a ring that is a circle on the sphere: north and south lie on one meridian. */
function circleOf(ring: Ring): Shape | null {
  const open = ring.slice(0, -1);
  if (open.length < 4) return null;
  const north = open.reduce((a, b) => (b[1] > a[1] ? b : a));
  const south = open.reduce((a, b) => (b[1] < a[1] ? b : a));
  const centre: Position = [(north[0] + south[0]) / 2, (north[1] + south[1]) / 2];
  const metres = distance(north, south) / 2;
  return metres < 1 ? null : settled({ kind: "circle", centre, metres });
}

function editMode(
  shape: Shape,
): { mode: string; geometry: GeoJSON.Polygon | GeoJSON.LineString } | null {
  switch (shape.kind) {
    case "corridor":
      return {
        mode: "linestring",
        geometry: { type: "LineString", coordinates: shape.line },
      };
    case "polygon": {
      const [only, ...others] = shape.parts;
      // terra-draw knows polygons without holes; hundreds of squares would hide the map
      if (!only || others.length > 0 || only.length !== 1 || (only[0]?.length ?? 0) > 200)
        return null;
      return { mode: "polygon", geometry: { type: "Polygon", coordinates: only } };
    }
    case "circle":
      return {
        mode: "circle",
        geometry: { type: "Polygon", coordinates: [circleRing(shape.centre, shape.metres)] },
      };
    default:
      return null;
  }
}
