import { describe, expect, test } from "vitest";
import { DEFAULTS, parse } from "./hash";
import { readLook, withLook } from "./taste";

describe("what a reader chose for their eyes", () => {
  test("only what is known is read", () => {
    expect(readLook(null)).toEqual({});
    expect(readLook("{")).toEqual({});
    expect(readLook("null")).toEqual({});
    expect(readLook('{"theme":"pink","palette":"stepped","pattern":1,"x":2}')).toEqual({
      palette: "stepped",
    });
  });
  test("a link that says something comes first", () => {
    const look = { theme: "night", palette: "stepped", pattern: true } as const;
    expect(withLook(parse(""), "", look)).toEqual({ ...DEFAULTS, ...look });
    const said = "#palette=stepped&theme=light";
    expect(withLook(parse(said), said, { theme: "night" }).theme).toBe("light");
    expect(withLook(parse("#kind=fire"), "#kind=fire", look).kind).toBe("fire");
  });
});
