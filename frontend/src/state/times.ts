/** Moments as the map's own clock shows them. Pure but for the browser's time zone tables. */

function parts(iso: string | Date, zone: string): Record<string, string> {
  const format = new Intl.DateTimeFormat("en-GB", {
    timeZone: zone,
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  });
  const at = typeof iso === "string" ? new Date(iso) : iso;
  return Object.fromEntries(format.formatToParts(at).map((one) => [one.type, one.value]));
}

/** 2026-11-21 22:40; the year is left out when it is this year's. */
export function moment(iso: string, zone: string, now: Date): string {
  const at = parts(iso, zone);
  const day = `${at.month}-${at.day} ${at.hour}:${at.minute}`;
  return at.year === parts(now, zone).year ? day : `${at.year}-${day}`;
}

/** 22:53 */
export function clock(now: Date, zone: string): string {
  const at = parts(now, zone);
  return `${at.hour}:${at.minute}`;
}

/** Whole days between a moment and now. */
export function daysSince(iso: string, now: Date): number {
  return Math.floor((now.getTime() - new Date(iso).getTime()) / 86_400_000);
}
