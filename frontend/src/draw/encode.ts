/**
 * Shapes as short text for a link: differences of six-digit degrees, zigzag, five bits a letter. What is
 * decoded equals what was encoded; broken text is null, never a wrong shape. Pure.
 */
import { type Area, DIGITS, type Position, type Ring, rounded, type Shape } from "./shapes";

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const UNIT = 10 ** DIGITS;
/** Longest text of one area a link may carry; a larger one has to be saved. */
export const MOST_LETTERS = 6000;

function write(value: number): string {
  // no bit operations: degrees × 10⁶ zigzagged leave 31 bits
  let rest = value < 0 ? -2 * value - 1 : 2 * value;
  let out = "";
  while (rest >= 32) {
    out += LETTERS[32 + (rest % 32)];
    rest = Math.floor(rest / 32);
  }
  return out + LETTERS[rest];
}

function line(places: readonly Position[]): string {
  let [x, y] = [0, 0];
  let out = "";
  for (const place of places) {
    const [nx, ny] = [Math.round(place[0] * UNIT), Math.round(place[1] * UNIT)];
    out += write(nx - x) + write(ny - y);
    [x, y] = [nx, ny];
  }
  return out;
}

function numbers(text: string): number[] | null {
  const out: number[] = [];
  let [value, factor] = [0, 1];
  for (const letter of text) {
    const digit = LETTERS.indexOf(letter);
    if (digit < 0 || factor > 2 ** 40) return null;
    value += (digit % 32) * factor;
    factor *= 32;
    if (digit >= 32) continue;
    out.push(value % 2 === 1 ? -(value + 1) / 2 : value / 2);
    [value, factor] = [0, 1];
  }
  return factor === 1 ? out : null;
}

function places(text: string): Position[] | null {
  const found = numbers(text);
  if (!found || found.length % 2 === 1) return null;
  let [x, y] = [0, 0];
  const out: Position[] = [];
  for (let i = 0; i < found.length; i += 2) {
    x += found[i] as number;
    y += found[i + 1] as number;
    const place: Position = [x / UNIT, y / UNIT];
    if (Math.abs(place[0]) > 180 || Math.abs(place[1]) > 90) return null;
    out.push(place);
  }
  return out;
}

/** Text of a shape; the same shape always the same text. */
export function encodeShape(shape: Shape): string {
  switch (shape.kind) {
    case "polygon":
      // the closing corner is not written: it is the first one again
      return `p${shape.parts.map((rings) => rings.map((ring) => line(ring.slice(0, -1))).join(".")).join("..")}`;
    case "circle":
      return `c${line([shape.centre])}${write(Math.round(shape.metres * 10))}`;
    case "corridor":
      return `l${write(Math.round(shape.metres * 10))}.${line(shape.line)}`;
    case "units":
      return `u${shape.codes.map((code) => encodeURIComponent(code).replaceAll(".", "%2E")).join(".")}`;
  }
}

function polygon(text: string): Shape | null {
  const parts: Ring[][] = [];
  for (const one of text.split("..")) {
    const rings: Ring[] = [];
    for (const each of one.split(".")) {
      const open = places(each);
      if (!open || open.length < 3) return null;
      rings.push([...open, [...(open[0] as Position)]]);
    }
    parts.push(rings);
  }
  return { kind: "polygon", parts };
}

function circle(text: string): Shape | null {
  const found = numbers(text);
  if (found?.length !== 3 || (found[2] as number) <= 0) return null;
  const centre = rounded([(found[0] as number) / UNIT, (found[1] as number) / UNIT]);
  if (Math.abs(centre[0]) > 180 || Math.abs(centre[1]) > 90) return null;
  return { kind: "circle", centre, metres: (found[2] as number) / 10 };
}

function corridor(text: string): Shape | null {
  const [width, rest] = text.split(".");
  const metres = numbers(width ?? "")?.[0];
  const found = places(rest ?? "");
  if (!metres || metres <= 0 || !found || found.length < 2) return null;
  return { kind: "corridor", line: found, metres: metres / 10 };
}

/** Shape of a text, or null. */
export function decodeShape(text: string): Shape | null {
  const rest = text.slice(1);
  if (rest === "") return null;
  switch (text[0]) {
    case "p":
      return polygon(rest);
    case "c":
      return circle(rest);
    case "l":
      return corridor(rest);
    case "u":
      try {
        return { kind: "units", codes: rest.split(".").map(decodeURIComponent) };
      } catch {
        return null;
      }
    default:
      return null;
  }
}

/** `name*shape`: the star is in no shape and taken out of names. */
export function encodeArea(area: Area): string {
  return `${area.name.replaceAll("*", " ")}*${encodeShape(area.shape)}`;
}

export function decodeArea(text: string): Area | null {
  const at = text.indexOf("*");
  const shape = at < 0 ? null : decodeShape(text.slice(at + 1));
  return shape ? { name: text.slice(0, Math.min(at, 80)), shape } : null;
}

/** The same shape as a link will bring it back. */
export function settled(shape: Shape): Shape {
  switch (shape.kind) {
    case "polygon":
      return {
        kind: "polygon",
        parts: shape.parts.map((rings) => rings.map((ring) => ring.map(rounded))),
      };
    case "circle":
      return {
        kind: "circle",
        centre: rounded(shape.centre),
        metres: Math.round(shape.metres * 10) / 10,
      };
    case "corridor":
      return {
        kind: "corridor",
        line: shape.line.map(rounded),
        metres: Math.round(shape.metres * 10) / 10,
      };
    case "units":
      return shape;
  }
}
