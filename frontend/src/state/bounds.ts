/** Boxes that may reach over the 180th meridian: then west is greater than east (RFC 7946, 5.2). Pure. */

export type Box = [west: number, south: number, east: number, north: number];

/** The same box with west before east; east may be more than 180. For cameras and widths. */
export function unwrapped([west, south, east, north]: readonly number[]): Box {
  const end = (east as number) + ((west as number) > (east as number) ? 360 : 0);
  return [west as number, south as number, end, north as number];
}

/** What a vector source is told: one that reaches over the meridian is asked for all around. */
export function sourceBounds(box: readonly number[], reach = 0): Box {
  const [west, south, east, north] = unwrapped(box);
  return east > 180
    ? [-180, south - reach, 180, north + reach]
    : [west - reach, south - reach, east + reach, north + reach];
}
