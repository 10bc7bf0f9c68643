/**
 * Fill patterns of LOOK 1 as pixels: the hatch of no data and the class overlay of the colour-blind
 * option. Pure geometry of strokes; a canvas draws them at twice the CSS size.
 */
import type { Colour } from "../api/models";
import { makeTheme } from "./theme";

export const PIXEL_RATIO = 2;

export interface Pattern {
  /** Edge of the square tile, CSS px times PIXEL_RATIO. */
  size: number;
  ground: string | null;
  stroke: string;
  opacity: number;
  /** Segments x1 y1 x2 y2 of the given width, or dots x y r; in tile pixels. */
  lines: readonly (readonly [number, number, number, number])[];
  width: number;
  dots: readonly (readonly [number, number, number])[];
}

/** Diagonals that meet themselves at the tile's edges; rising "/" or falling "\". */
function diagonals(size: number, rising: boolean): [number, number, number, number][] {
  return [-1, 0, 1].map((k) =>
    rising
      ? [k * size - size, size * 2, k * size + size * 2, -size]
      : [k * size - size, -size, k * size + size * 2, size * 2],
  );
}

export const OVERLAY: readonly Colour[] = ["red", "orange", "yellow", "green"];

/** Pattern of an image name such as `hatch/dark`; null: not ours. */
export function patternOf(id: string): Pattern | null {
  const theme = makeTheme(id.endsWith("/dark") ? "night" : "light", "standard");
  const ink = { stroke: theme.dark ? "#FFFFFF" : "#12161C", opacity: theme.dark ? 0.5 : 0.55 };
  const none = { ground: null, lines: [], dots: [], width: 0 };
  const gap = (px: number) => Math.round(px * Math.SQRT2 * PIXEL_RATIO);
  switch (id.split("/")[0]) {
    case "hatch": {
      const size = gap(6);
      return {
        size,
        ground: theme.classes.none.fill,
        stroke: theme.hatch,
        opacity: 1,
        lines: diagonals(size, false),
        width: 1.6 * PIXEL_RATIO,
        dots: [],
      };
    }
    case "red":
      return {
        ...none,
        ...ink,
        size: gap(5),
        lines: diagonals(gap(5), true),
        width: 2 * PIXEL_RATIO,
      };
    case "orange":
      return {
        ...none,
        ...ink,
        size: gap(7),
        lines: diagonals(gap(7), true),
        width: 1.1 * PIXEL_RATIO,
      };
    case "yellow": {
      const size = 7 * PIXEL_RATIO;
      return { ...none, ...ink, size, dots: [[size / 2, size / 2, 1.15 * PIXEL_RATIO]] };
    }
    case "green": {
      const size = 9 * PIXEL_RATIO;
      return {
        ...none,
        ...ink,
        size,
        lines: [
          [2, size * 0.25, size * 0.5, size * 0.25],
          [size * 0.5 + 2, size * 0.75, size, size * 0.75],
        ],
        width: 1.1 * PIXEL_RATIO,
      };
    }
    default:
      return null;
  }
}

/** Pixels of a pattern for `map.addImage(…, {pixelRatio: PIXEL_RATIO})`. */
export function draw(pattern: Pattern): ImageData | null {
  const canvas = document.createElement("canvas");
  canvas.width = pattern.size;
  canvas.height = pattern.size;
  // read back at once: drawn by the processor there is nothing to wait for
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  if (!pen) return null;
  if (pattern.ground) {
    pen.fillStyle = pattern.ground;
    pen.fillRect(0, 0, pattern.size, pattern.size);
  }
  pen.globalAlpha = pattern.opacity;
  pen.strokeStyle = pattern.stroke;
  pen.fillStyle = pattern.stroke;
  pen.lineWidth = pattern.width;
  pen.beginPath();
  for (const [x1, y1, x2, y2] of pattern.lines) {
    pen.moveTo(x1, y1);
    pen.lineTo(x2, y2);
  }
  pen.stroke();
  for (const [x, y, r] of pattern.dots) {
    pen.beginPath();
    pen.arc(x, y, r, 0, Math.PI * 2);
    pen.fill();
  }
  return pen.getImageData(0, 0, pattern.size, pattern.size);
}
