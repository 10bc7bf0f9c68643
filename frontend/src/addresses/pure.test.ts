import { describe, expect, test } from "vitest";
import type { LevelInfo } from "../api/models";
import {
  type AddressAnswer,
  choicesOf,
  decisionOf,
  nameIn,
  nextOf,
  type ReviewItem,
} from "./choices";
import { boxAround, levelAt, zoomOf } from "./frame";
import { parse, serialise } from "./state";

const item = (more: Partial<ReviewItem> = {}): ReviewItem => ({
  id: 1,
  pack: "town",
  text: "人民路2号",
  code: "3301",
  confidence: 0.3,
  reasons: ["place", "several"],
  candidates: ["330106003051001", "330109007201001"],
  seen: 2,
  first_seen: "2026-11-22T00:00:00Z",
  last_seen: "2026-11-22T00:00:00Z",
  state: "open",
  settled_code: null,
  settled_at: null,
  ...more,
});
const candidate = (code: string) => ({
  code,
  name: `在${code}`,
  level: "building",
  unit: code.slice(0, 15),
  place: "人民路",
  reasons: ["number"],
});
const answer = (more: Partial<AddressAnswer>): AddressAnswer => ({
  text: "人民路2号",
  status: "unsure",
  code: "330106003051001",
  name: "西湖区",
  level: "grid",
  unit: "330106003051001",
  place: null,
  confidence: 0.6,
  certain: false,
  reasons: ["alike"],
  candidates: [],
  ...more,
});

describe("choices", () => {
  test("of several equal ones all come first, what they share last", () => {
    const found = choicesOf(
      item(),
      answer({
        status: "ambiguous",
        code: "3301",
        candidates: [candidate("3301060030510010072"), candidate("3301090072010010002")],
      }),
    );
    expect(found.map((one) => [one.code, one.shared, one.confidence])).toEqual([
      ["3301060030510010072", false, null],
      ["3301090072010010002", false, null],
      ["3301", true, null],
    ]);
  });
  test("one that is likely comes first with how sure it is", () => {
    const found = choicesOf(item(), answer({ candidates: [candidate("33010900720100100")] }));
    expect(found[0]).toMatchObject({ code: "330106003051001", confidence: 0.6 });
    expect(found).toHaveLength(2);
  });
  test("until the resolver answers, what it said before is shown", () => {
    const before = choicesOf(item(), undefined);
    expect(before.map((one) => one.code)).toEqual(["330106003051001", "330109007201001", "3301"]);
    expect(before.every((one) => one.name === null)).toBe(true);
  });
  test("nothing known is nothing to choose", () => {
    expect(
      choicesOf(item({ code: null, candidates: [], reasons: ["nothing"] }), undefined),
    ).toEqual([]);
  });
});

describe("the name that may be learnt", () => {
  test.each([
    ["西湖区小阳光4幢", "杭州市西湖区翠苑街道", "小阳光"],
    ["西湖区 电子大楼 三幢", "杭州市西湖区", "电子大楼"],
    ["阳光小区5号楼2单元", "杭州市西湖区", "阳光小区"],
    ["人民路2号", null, "人民路"],
    ["12号", null, ""],
    ["西湖区", "杭州市西湖区", "西湖区"],
  ])("of %s", (text, units, name) => {
    expect(nameIn(text, units)).toBe(name);
  });
});

test("a decision has a name only where one is given", () => {
  expect(decisionOf("3301", "  ", "x")).toEqual({ code: "3301" });
  expect(decisionOf("3301", " 小阳光 ", " ")).toEqual({
    code: "3301",
    alias: { name: "小阳光", place: null },
  });
});

test("after a text comes the one below it, after the last the one above", () => {
  const all = [{ id: 3 }, { id: 5 }, { id: 8 }];
  expect([nextOf(all, 3), nextOf(all, 8), nextOf([{ id: 8 }], 8), nextOf(all, 4)]).toEqual([
    5, 5, 0, 0,
  ]);
});

describe("the map beside it", () => {
  const level = (id: string, min_zoom: number) => ({ id, min_zoom }) as LevelInfo;
  const levels = [level("county", 5), level("town", 8), level("grid", 12)];
  test("shows the finest level that can be seen, none finer than wanted", () => {
    expect(levelAt(levels, "grid", 13)?.id).toBe("grid");
    expect(levelAt(levels, "grid", 10)?.id).toBe("town");
    expect(levelAt(levels, "county", 13)?.id).toBe("county");
    expect(levelAt(levels, "grid", 2)?.id).toBe("county");
  });
  test("frames all places with room around", () => {
    expect(boxAround([])).toBeNull();
    const box = boxAround([
      [120, 30, 120.1, 30.1],
      [120.4, 30.2, 120.5, 30.3],
    ]);
    expect(box?.[0]).toBeCloseTo(119.9, 6);
    expect(box?.[2]).toBeCloseTo(120.6, 6);
    expect(zoomOf([0, 0, 360, 10], 512)).toBeCloseTo(0, 9);
  });
});

test("the link holds part and text, and nothing that is the default", () => {
  expect(serialise(parse("#part=settled&item=7&palette=stepped&kind=fire"))).toBe(
    "#palette=stepped&part=settled&item=7",
  );
  expect(serialise(parse("#part=other&item=-3"))).toBe("");
});
