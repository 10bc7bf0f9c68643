import { describe, expect, test } from "vitest";
import { DEFAULTS, parse, serialise, type ViewState } from "./hash";

const FULL: ViewState = {
  map: "hangzhou",
  scope: "330110",
  level: "village",
  kind: "dispute",
  period: "quarter",
  ord: 7,
  unit: "330110010",
  cells: true,
  cell: "88309ba6b1fffff",
  camera: [119.98765, 30.2451, 11.25],
  theme: "night",
  lang: "en",
  palette: "stepped",
  pattern: true,
  table: true,
};

describe("hash", () => {
  test("what equals the default is left out", () => {
    expect(serialise(DEFAULTS)).toBe("");
    expect(parse("")).toEqual(DEFAULTS);
  });

  test("parse undoes serialise", () => {
    expect(parse(serialise(FULL))).toEqual(FULL);
    for (const key of Object.keys(FULL) as (keyof ViewState)[]) {
      const one = { ...DEFAULTS, [key]: FULL[key] };
      expect(parse(serialise(one)), key).toEqual(one);
    }
  });

  test.each(["A 1", "A/1", "a,b", "<b>", "a%2Fb", "a&b=c", "🙂", "O'Brien", "+1"])(
    "a code may be %s",
    (unit) => {
      const one = { ...DEFAULTS, unit, scope: unit };
      expect(parse(serialise(one))).toEqual(one);
    },
  );

  test("the first period is not the default", () => {
    expect(parse(serialise({ ...DEFAULTS, ord: 0 })).ord).toBe(0);
  });

  test("stays readable", () => {
    expect(serialise({ ...DEFAULTS, scope: "330110", camera: [120, 30, 9] })).toBe(
      "#scope=330110&view=120/30/9",
    );
  });

  test.each([
    "#ord=-1",
    "#ord=1e9",
    "#ord=999999",
    "#view=1/2",
    "#view=NaN/2/3",
    "#view=200/2/3",
    "#period=week",
    "#theme=pink",
    "#lang=fr",
    "#palette=x&pattern=yes",
    "#scope=a%00b",
    `#unit=${"x".repeat(65)}`,
    "#%E0%A4%A",
    "#&&==",
  ])("broken part %s falls back", (hash) => {
    expect(parse(hash)).toEqual(DEFAULTS);
  });
});
