/**
 * A photo made small on the device, before it is written down: at most 2,000 px, JPEG. Drawing it anew
 * also leaves behind whatever else stood in the file (time, place, device).
 */
export const EDGE = 2000;
const QUALITY = 0.82;

/** Size inside the edge, never enlarged. Pure. */
export function fitted(width: number, height: number, edge = EDGE): [number, number] {
  const share = Math.min(1, edge / Math.max(width, height));
  return [Math.max(1, Math.round(width * share)), Math.max(1, Math.round(height * share))];
}

/** The file as a small JPEG; rejects when it is no picture. */
export async function shrink(file: Blob): Promise<Blob> {
  const image = await createImageBitmap(file, { imageOrientation: "from-image" });
  try {
    const [width, height] = fitted(image.width, image.height);
    const canvas = document.createElement("canvas");
    canvas.width = width;
    canvas.height = height;
    const pen = canvas.getContext("2d");
    if (!pen) throw new Error("no canvas");
    pen.fillStyle = "#FFFFFF";
    pen.fillRect(0, 0, width, height);
    pen.drawImage(image, 0, 0, width, height);
    const made = await new Promise<Blob | null>((resolve) =>
      canvas.toBlob(resolve, "image/jpeg", QUALITY),
    );
    if (!made) throw new Error("no picture");
    return made;
  } finally {
    image.close();
  }
}
