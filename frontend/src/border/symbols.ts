/** Pictures of LOOK 3 for the map: hatch of zones, rays of clusters, discs, checkpoints, devices. */
import { ShieldCheck } from "lucide";
import type { Theme } from "../style/theme";

export const RATIO = 2;
const GROUND = "hatch/";

interface Picture {
  size: readonly [width: number, height: number];
  draw: (pen: CanvasRenderingContext2D, ink: string, paper: string) => void;
}

function disc(pen: CanvasRenderingContext2D, x: number, r: number, fill: string, edge: string) {
  pen.beginPath();
  pen.arc(x, x, r, 0, Math.PI * 2);
  pen.fillStyle = fill;
  pen.fill();
  pen.lineWidth = 1.6;
  pen.strokeStyle = edge;
  pen.stroke();
}

const SHIELD = ShieldCheck.map(([, attributes]) => String(attributes.d));

const PICTURES: Record<string, Picture> = {
  // diagonal hairlines that meet themselves at the tile's edges
  zone: {
    size: [10, 10],
    draw: (pen, ink) => {
      pen.globalAlpha = 0.55;
      pen.strokeStyle = ink;
      pen.lineWidth = 0.5;
      for (const k of [-10, 0, 10]) {
        pen.beginPath();
        pen.moveTo(k - 1, 11);
        pen.lineTo(k + 11, -1);
        pen.stroke();
      }
    },
  },
  ray: {
    size: [4, 9],
    draw: (pen, ink) => {
      pen.strokeStyle = ink;
      pen.lineWidth = 1.8;
      pen.lineCap = "round";
      pen.beginPath();
      pen.moveTo(2, 1);
      pen.lineTo(2, 6);
      pen.stroke();
    },
  },
  "disc-together": { size: [26, 26], draw: (pen, ink, paper) => disc(pen, 13, 11, ink, paper) },
  "disc-other": { size: [26, 26], draw: (pen, ink, paper) => disc(pen, 13, 11, paper, ink) },
  checkpoint: {
    size: [22, 22],
    draw: (pen, ink, paper) => {
      pen.beginPath();
      pen.roundRect(1, 1, 20, 20, 5);
      pen.fillStyle = paper;
      pen.fill();
      pen.beginPath();
      pen.roundRect(2.5, 2.5, 17, 17, 4);
      pen.fillStyle = ink;
      pen.fill();
      pen.translate(5, 5);
      pen.scale(0.5, 0.5);
      pen.strokeStyle = paper;
      pen.lineWidth = 2.6;
      pen.lineJoin = "round";
      pen.lineCap = "round";
      for (const path of SHIELD) pen.stroke(new Path2D(path));
    },
  },
  "device-online": { size: [16, 16], draw: (pen, ink, paper) => disc(pen, 8, 5.5, ink, paper) },
  "device-flapping": {
    size: [16, 16],
    draw: (pen, ink, paper) => {
      disc(pen, 8, 5.5, paper, ink);
      pen.beginPath();
      pen.arc(8, 8, 5.5, Math.PI / 2, (3 * Math.PI) / 2);
      pen.fillStyle = ink;
      pen.fill();
    },
  },
  "device-offline": {
    size: [16, 16],
    draw: (pen, ink, paper) => {
      disc(pen, 8, 5.5, paper, ink);
      pen.beginPath();
      pen.moveTo(3, 13);
      pen.lineTo(13, 3);
      pen.stroke();
    },
  },
};

/** Pixels of a picture named `zone/light` or `zone/dark`; null: not ours. */
export function picture(id: string, theme: Theme): ImageData | null {
  const [name] = id.split("/");
  const one = PICTURES[name ?? ""];
  if (!one || id.startsWith(GROUND)) return null;
  const [width, height] = one.size;
  const canvas = document.createElement("canvas");
  canvas.width = width * RATIO;
  canvas.height = height * RATIO;
  const pen = canvas.getContext("2d");
  if (!pen) return null;
  pen.scale(RATIO, RATIO);
  one.draw(pen, theme.neutral.ink, theme.dark ? theme.neutral.land : "#FFFFFF");
  return pen.getImageData(0, 0, canvas.width, canvas.height);
}
