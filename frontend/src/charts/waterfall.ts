/**
 * The waterfall's numbers: from 1.00 through the parts to θ. The printed parts add up to the printed θ;
 * the largest parts are named, the others summed into one rest.
 */
import type { Colour, Contribution, Why } from "../api/models";
import { roundToSum } from "./numbers";

export interface Step {
  /** Kind id, `rest`, `period` or `memory`. */
  id: string;
  /** As printed, two decimals. */
  printed: number;
  from: number;
  to: number;
  /** Null: no class, drawn grey. */
  colour: Colour | null;
  /** Kinds inside a rest. */
  merged: number;
}

export interface Waterfall {
  steps: Step[];
  theta: number;
  low: number;
  high: number;
}

interface Part {
  id: string;
  value: number;
  colour: Colour | null;
  merged: number;
}

function largest(contributions: readonly Contribution[], named: number): Part[] {
  const sorted = [...contributions].sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
  const cut = sorted.length <= named + 1 ? sorted.length : named;
  const parts: Part[] = sorted
    .slice(0, cut)
    .map((one) => ({ id: one.kind, value: one.value, colour: one.colour, merged: 0 }));
  const rest = sorted.slice(cut);
  if (rest.length > 0) {
    const value = rest.reduce((sum, one) => sum + one.value, 0);
    parts.push({ id: "rest", value, colour: null, merged: rest.length });
  }
  return parts;
}

/** One kind: what this period adds, what the memory adds; (O − E)/(α + X) and (S' − X')/(α + X). */
function ofOneKind(why: Why): Part[] {
  const { observed, expected, alpha, remembered_expected, estimate } = why;
  if (observed === null || expected === null || alpha === null || !estimate) return [];
  const before = remembered_expected ?? 0;
  const bottom = alpha + before + expected;
  const now = (observed - expected) / bottom;
  return [
    { id: "period", value: now, colour: why.colour, merged: 0 },
    { id: "memory", value: estimate.theta - 1 - now, colour: null, merged: 0 },
  ];
}

/** Waterfall of an answer, `named` kinds before the rest; null without an estimate. */
export function waterfall(why: Why, named: number): Waterfall | null {
  if (!why.estimate) return null;
  const { theta, low, high } = why.estimate;
  const parts = why.contributions.length > 0 ? largest(why.contributions, named) : ofOneKind(why);
  const shown = Number(theta.toFixed(2));
  const printed = roundToSum(
    parts.map((part) => part.value),
    shown - 1,
  );
  let at = 1;
  const steps = parts.map((part, index) => {
    const from = at;
    at += part.value;
    return {
      id: part.id,
      printed: printed[index] as number,
      from,
      to: at,
      colour: part.colour,
      merged: part.merged,
    };
  });
  return { steps, theta, low, high };
}
