import { expect, test } from "vitest";
import type { LevelInfo, MapInfo, UnitBrief, UnitDetail } from "../api/models";
import {
  defaultLevel,
  drillTarget,
  levelsBelow,
  rootCode,
  scopeIndex,
  shownLevel,
  valueIndex,
} from "./levels";

function map(...levels: [string, number][]): MapInfo {
  let first = 1;
  return {
    levels: levels.map(([id, count]) => {
      const level = { id, count, first_id: first, counties: [["3301", first, count]] };
      first += count;
      return level as unknown as LevelInfo;
    }),
  } as MapInfo;
}

const CITY = map(["city", 1], ["county", 13], ["town", 196], ["village", 3320], ["grid", 14999]);
const FOUR = map(["city", 4], ["county", 48], ["town", 600]);
const ONE = map(["neighbourhood", 22]);
const brief = (level: string, code: string) => ({ level, code }) as UnitBrief;
const detail = (level: string) => ({ level }) as UnitDetail;

test("city shows towns, county villages, town and village grids", () => {
  const shown = (level?: string) =>
    shownLevel(CITY, scopeIndex(CITY, level ? detail(level) : undefined), "").id;
  expect(shown()).toBe("town");
  expect(shown("county")).toBe("village");
  expect(shown("town")).toBe("grid");
  expect(shown("village")).toBe("grid");
  expect(shown("grid")).toBe("grid");
});

test("several cities show counties, a map of one level shows it", () => {
  expect(scopeIndex(FOUR, undefined)).toBe(-1);
  expect(defaultLevel(FOUR, -1).id).toBe("county");
  expect(defaultLevel(ONE, scopeIndex(ONE, undefined)).id).toBe("neighbourhood");
  expect(levelsBelow(ONE, 0).map((one) => one.id)).toEqual(["neighbourhood"]);
});

test("a wanted level is shown only below the scope", () => {
  expect(shownLevel(CITY, 0, "grid").id).toBe("grid");
  expect(shownLevel(CITY, 2, "county").id).toBe("grid");
  expect(shownLevel(CITY, 0, "nonsense").id).toBe("town");
});

test("drilling steps down one level towards the unit", () => {
  const chain = [brief("city", "3301"), brief("county", "330110"), brief("town", "330110010")];
  const village = brief("village", "330110010001");
  expect(drillTarget(CITY, 0, village, chain)?.code).toBe("330110");
  expect(drillTarget(CITY, 1, village, chain)?.code).toBe("330110010");
  expect(drillTarget(CITY, 2, village, chain)?.code).toBe("330110010001");
  expect(drillTarget(CITY, 3, brief("grid", "1"), [...chain, village])).toBeNull();
  expect(drillTarget(ONE, -1, brief("neighbourhood", "KITS"), [])).toBeNull();
});

test("root code and value positions", () => {
  expect(rootCode(CITY)).toBe("3301");
  expect(rootCode(FOUR)).toBe("");
  const town = CITY.levels[2] as LevelInfo;
  expect([14, 15, 210, 211].map((id) => valueIndex(town, id))).toEqual([-1, 0, 195, -1]);
});
