/**
 * Exact 95 % interval of a Poisson count (Garwood), by bisection on the distribution itself. Pure; good to
 * 1e-6 for counts up to some ten thousand.
 */

/** log P(X ≤ n) and log P(X ≥ n) need sums of terms e^-m m^k / k!, each from the one before. */
function atMost(n: number, mean: number): number {
  let term = -mean;
  let sum = Math.exp(term);
  for (let k = 1; k <= n; k++) {
    term += Math.log(mean / k);
    sum += Math.exp(term);
  }
  return Math.min(1, sum);
}

function bisect(low: number, high: number, above: (mean: number) => boolean): number {
  let [a, b] = [low, high];
  for (let i = 0; i < 80; i++) {
    const middle = (a + b) / 2;
    if (above(middle)) a = middle;
    else b = middle;
  }
  return (a + b) / 2;
}

const TAIL = 0.025;

export function poisson95(observed: number): readonly [low: number, high: number] {
  const far = observed + 8 * Math.sqrt(observed + 1) + 12;
  const high = bisect(observed, far, (mean) => atMost(observed, mean) > TAIL);
  if (observed === 0) return [0, high];
  // P(X ≥ n) grows with the mean
  const low = bisect(0, observed, (mean) => 1 - atMost(observed - 1, mean) < TAIL);
  return [low, high];
}
