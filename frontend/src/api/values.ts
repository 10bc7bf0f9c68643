/**
 * The map's colours of one level, kind and period: `n` bytes colour (0…5 as in COLOURS), then `n` bytes
 * relative risk (0 no data, else 128 + 16 log2 θ), in unit id order from `first_id`.
 */
import { addresses, Failure, type Question, request } from "./client";

export interface Values {
  colour: Uint8Array;
  theta: Uint8Array;
}

/** Cut a payload in two; throws `Failure` when its length is not 2 n. */
export function decode(buffer: ArrayBuffer, n: number): Values {
  if (buffer.byteLength !== 2 * n) {
    throw new Failure(
      200,
      "values_length",
      `expected ${2 * n} bytes of values, got ${buffer.byteLength}`,
      null,
    );
  }
  return { colour: new Uint8Array(buffer, 0, n), theta: new Uint8Array(buffer, n, n) };
}

/** θ of one byte; null = no data. Good to ±2.2 %. */
export function thetaOf(byte: number): number | null {
  return byte === 0 ? null : 2 ** ((byte - 128) / 16);
}

const KEPT = 60;
const kept = new Map<string, Values>();

/** Payload from memory, or null. */
export function keptValues(question: Omit<Question, "within">): Values | null {
  return kept.get(addresses.values(question)) ?? null;
}

export async function fetchValues(
  question: Omit<Question, "within">,
  n: number,
  signal?: AbortSignal,
): Promise<Values> {
  const address = addresses.values(question);
  const known = kept.get(address);
  if (known) return known;
  const values = decode(await (await request(address, signal)).arrayBuffer(), n);
  kept.set(address, values);
  if (kept.size > KEPT) kept.delete(kept.keys().next().value as string);
  return values;
}
