/** Numbers as text and as lengths. Pure. */

const GROUP = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

/** 12,345; a missing number is a dash. */
export function count(value: number | null | undefined): string {
  return value === null || value === undefined || !Number.isFinite(value)
    ? "—"
    : GROUP.format(value);
}

/** Expected counts: one decimal under 10. */
export function expectedCount(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "—";
  return value < 9.95 ? value.toFixed(1) : GROUP.format(value);
}

/** Exposures: people are counted in ones, an area of 4.6 km² needs its decimal. */
export function measured(value: number | null | undefined): string {
  return Number.isInteger(value) ? count(value) : expectedCount(value);
}

/** Relative risks and ratios: two decimals, one from 10 on. */
export function ratio(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "—";
  return value >= 9.995 ? value.toFixed(1) : value.toFixed(2);
}

export function percent(share: number | null | undefined, digits = 1): string {
  if (share === null || share === undefined || !Number.isFinite(share)) return "—";
  return `${(share * 100).toFixed(digits)}%`;
}

/** A probability as LOOK prints it: .87, > .99, < .01. */
export function probability(p: number): string {
  if (p > 0.99) return "> .99";
  if (p < 0.01) return "< .01";
  return `= ${p.toFixed(2).replace(/^0/, "")}`;
}

/** +0.88, −0.04, 0.00 */
export function signed(value: number, digits = 2): string {
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) return text;
  return `${value < 0 ? "−" : "+"}${text}`;
}

/**
 * Round parts so that the printed parts add up to the printed total: each is floored to the last digit and
 * the units left over go to the largest remainders (Hamilton). `total` is the rounded sum to reach.
 */
export function roundToSum(parts: readonly number[], total: number, digits = 2): number[] {
  const unit = 10 ** digits;
  const floors = parts.map((part) => Math.floor(part * unit + 1e-9));
  let left = Math.round(total * unit) - floors.reduce((sum, one) => sum + one, 0);
  const order = parts
    .map((part, index) => ({ index, rest: part * unit - (floors[index] as number) }))
    .sort((a, b) => b.rest - a.rest);
  for (let i = 0; left !== 0 && order.length > 0; i = (i + 1) % order.length) {
    const at = (left > 0 ? order[i] : order[order.length - 1 - i]) as { index: number };
    floors[at.index] = (floors[at.index] as number) + Math.sign(left);
    left -= Math.sign(left);
  }
  return floors.map((one) => one / unit);
}

/** Linear map of [a, b] onto [x0, x1], kept inside. */
export function linear(a: number, b: number, x0: number, x1: number): (v: number) => number {
  const span = b - a || 1;
  return (v) => x0 + Math.min(1, Math.max(0, (v - a) / span)) * (x1 - x0);
}

/** The same on a log axis; values at or under 0 lie at the left end. */
export function logarithmic(a: number, b: number, x0: number, x1: number): (v: number) => number {
  const inner = linear(Math.log(a), Math.log(b), x0, x1);
  return (v) => inner(v > 0 ? Math.log(v) : Math.log(a));
}
