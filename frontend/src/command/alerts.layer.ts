/**
 * The mark of an open alert on the map: a bell in a black disc above the name of its unit. A shape in ink,
 * never a hue; it says nothing a panel does not say.
 */
import type { SourceSpecification, SymbolLayerSpecification } from "maplibre-gl";
import { LABELS, type StyleInput } from "./map-style";

export const ALERTS = "alerts";
const SIZE = 22;
/** Strokes of the bell (lucide, ISC), on a ground of 24. */
const BELL =
  "M3.262 15.326A1 1 0 0 0 4 17h16a1 1 0 0 0 .74-1.673C19.41 13.956 18 12.499 18 8A6 6 0 0 0 6 8c0 4.499-1.411 5.956-2.738 7.326M10.268 21a2 2 0 0 0 3.464 0";

/**
 * Their own source, of the shown level's tiles: alerts come after the map and change while it is looked at,
 * and a new filter has every tile of its source cut up again.
 */
export function alertSources(
  input: StyleInput,
  level: SourceSpecification | undefined,
): Record<string, SourceSpecification> {
  return level && (input.alerts ?? []).length > 0 ? { [ALERTS]: level } : {};
}

/** Units with an open alert, by code; nothing where there are none. */
export function alertLayers(input: StyleInput): SymbolLayerSpecification[] {
  const codes = input.alerts ?? [];
  if (codes.length === 0) return [];
  return [
    {
      id: ALERTS,
      type: "symbol",
      source: ALERTS,
      "source-layer": LABELS,
      filter: ["in", ["get", "code"], ["literal", [...codes]]],
      layout: {
        "icon-image": `alert/${input.theme.dark ? "dark" : "light"}`,
        "icon-size": input.scale,
        "icon-anchor": "bottom",
        "icon-offset": [0, -9],
        "icon-allow-overlap": true,
        "icon-ignore-placement": true,
      },
    },
  ];
}

/** Pixels of the mark; null: another image is asked for. */
export function alertImage(id: string, ratio: number): ImageData | null {
  const dark = id === "alert/dark";
  if (!dark && id !== "alert/light") return null;
  const canvas = document.createElement("canvas");
  canvas.width = SIZE * ratio;
  canvas.height = SIZE * ratio;
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  if (!pen) return null;
  const [ink, paper] = dark ? ["#F3F5F7", "#0E1217"] : ["#12161C", "#FFFFFF"];
  pen.scale(ratio, ratio);
  const middle = SIZE / 2;
  for (const [radius, fill] of [
    [middle, paper],
    [middle - 2, ink],
  ] as const) {
    pen.beginPath();
    pen.arc(middle, middle, radius, 0, Math.PI * 2);
    pen.fillStyle = fill;
    pen.fill();
  }
  pen.translate(middle - 5.5, middle - 5.5);
  pen.scale(11 / 24, 11 / 24);
  pen.strokeStyle = paper;
  pen.lineWidth = 2.6;
  pen.lineCap = "round";
  pen.lineJoin = "round";
  pen.stroke(new Path2D(BELL));
  return pen.getImageData(0, 0, canvas.width, canvas.height);
}
