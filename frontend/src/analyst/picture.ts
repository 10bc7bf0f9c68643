/** The map as a picture, with what every export has to say: question, run, boundaries, cut-off, badges. */
import type { MapLibreMap } from "maplibre-gl";
import { moment } from "../state/times";
import type { Ask } from "./ask";
import { spanText } from "./days";

function mapOf(): MapLibreMap {
  const box = document.querySelector(".stage-map .map-box") as
    | (HTMLElement & { map: MapLibreMap })
    | null;
  if (!box) throw new Error("no map");
  return box.map;
}

/** Pixels of the map right after it was drawn: a drawing buffer is empty at any other time. */
function pixels(map: MapLibreMap): Promise<ImageBitmap> {
  return new Promise((resolve, reject) => {
    map.once("render", () => createImageBitmap(map.getCanvas()).then(resolve, reject));
    map.triggerRepaint();
  });
}

export function captionOf(ask: Ask): string[] {
  const { map, words, title } = ask.frame;
  const { state } = ask.view;
  const answer = ask.analysis.data();
  const say = ask.say();
  const names = map()
    .kinds.filter((one) => state.kinds.includes(one.id))
    .map((one) => title(one.title));
  const first = [
    title(map().title),
    names.length > 0 ? names.join(words().comma) : say.allKinds,
    spanText(ask.span()),
    ...(answer ? [`${say.observed} ${answer.answer.total_text} ${say.events}`.trim()] : []),
  ];
  const cutoff = map().data_cutoff;
  const second = [
    words().run(map().run),
    words().boundary(map().boundary_version),
    ...(cutoff ? [words().asOf(moment(cutoff, map().time_zone, new Date()))] : []),
    ...(map().approximate ? [words().approximate] : []),
    ...(map().simulated ? [words().simulated] : []),
  ];
  return [first.join(" · "), second.join(" · ")];
}

export async function pictureOf(ask: Ask): Promise<Blob> {
  const map = await pixels(mapOf());
  const scale = devicePixelRatio;
  const foot = Math.round(54 * scale);
  const canvas = document.createElement("canvas");
  canvas.width = map.width;
  canvas.height = map.height + foot;
  const pen = canvas.getContext("2d") as CanvasRenderingContext2D;
  const { neutral } = ask.frame.theme();
  pen.fillStyle = neutral.surface;
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(map, 0, 0);
  pen.fillStyle = neutral.ink;
  const family = getComputedStyle(document.documentElement).fontFamily;
  captionOf(ask).forEach((line, index) => {
    pen.font = `${index === 0 ? 700 : 400} ${13 * scale}px ${family}`;
    pen.fillText(
      line,
      14 * scale,
      map.height + (22 + index * 21) * scale,
      canvas.width - 28 * scale,
    );
  });
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("no picture"))), "image/png");
  });
}
