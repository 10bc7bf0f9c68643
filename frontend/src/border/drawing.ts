/** The hand that draws the ground of a zone; the outline is the page's, the tool is that of the workbench. */
import type { MapLibreMap } from "maplibre-gl";
import { createEffect, on, onCleanup } from "solid-js";
import type { Drawer } from "../draw/drawer";
import type { Shape } from "../draw/shapes";
import type { Border } from "./model";

function polygonOf(shape: Shape | null): GeoJSON.Polygon | null {
  if (shape?.kind !== "polygon" || !shape.parts[0]) return null;
  return { type: "Polygon", coordinates: shape.parts[0] };
}

/** Follow `draft.drawing`; the tool is loaded when it is first taken. */
export function attachDraft(map: MapLibreMap, border: Border): void {
  let drawer: Drawer | undefined;
  const { draft } = border;
  const take = async () => {
    if (!drawer) {
      const { Drawer: Made } = await import("../draw/drawer");
      drawer ??= new Made(map, {
        onMoving: (shape) => {
          const outline = polygonOf(shape);
          if (outline) draft.setOutline(outline);
        },
        onDrawn: (shape) => {
          draft.setOutline(polygonOf(shape));
          draft.setDrawing(false);
        },
        onEdited: (shape) => draft.setOutline(polygonOf(shape)),
        onDrawing: () => undefined,
        snap: () => null,
        corridor: () => 100,
      });
    }
    if (draft.drawing()) drawer.take("polygon");
  };
  createEffect(
    on(draft.drawing, (now) => {
      if (now) void take();
      else drawer?.rest();
    }),
  );
  onCleanup(() => drawer?.stop());
}
