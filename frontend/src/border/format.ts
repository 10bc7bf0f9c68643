/** Distances, times and directions as text. Pure. */
const GROUP = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

/** 1,236 m; from 10 km on 12.4 km. */
export function metresText(metres: number): string {
  return metres < 9950 ? `${GROUP.format(metres)} m` : `${(metres / 1000).toFixed(1)} km`;
}

/** Number and unit apart, for a key figure. */
export function metresParts(metres: number): [number: string, unit: string] {
  const [number, unit] = metresText(metres).split(" ");
  return [number as string, unit as string];
}

/** 1:32 to go; an hour and more 1:32:05 is too fine, so hours and minutes; below an hour 41:07. */
export function leftText(end: string, now: Date): string {
  const seconds = Math.max(0, Math.floor((new Date(end).getTime() - now.getTime()) / 1000));
  const two = (n: number) => String(n).padStart(2, "0");
  if (seconds >= 3600) return `${Math.floor(seconds / 3600)}:${two(Math.floor(seconds / 60) % 60)}`;
  return `${Math.floor(seconds / 60)}:${two(seconds % 60)}`;
}

/** Part of a span that is over, 0 to 1. */
export function shareOver(from: string, to: string, now: Date): number {
  const [a, b] = [new Date(from).getTime(), new Date(to).getTime()];
  return b > a ? Math.min(1, Math.max(0, (now.getTime() - a) / (b - a))) : 1;
}

/** Index 0…7 of north, north-east, … */
export function octant(azimuth: number): number {
  return Math.round((((azimuth % 360) + 360) % 360) / 45) % 8;
}

/** p=.002, p<.001 */
export function pText(p: number | null): string {
  if (p === null) return "—";
  if (p < 0.001) return "p<.001";
  return `p=${p
    .toFixed(p < 0.0995 ? 3 : 2)
    .replace(/^0/, "")
    .replace(/0$/, "")}`;
}
