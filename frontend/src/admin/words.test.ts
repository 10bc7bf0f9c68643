import { expect, test } from "vitest";
import { jurisdiction, spelt } from "./prefixes";
import { adminWords } from "./words";

test("English holds no Chinese", () => {
  expect(JSON.stringify(adminWords("en"))).not.toMatch(/[\u4e00-\u9fff]/);
});

test("only the word itself is everything", () => {
  expect(jurisdiction("all")).toBe("all");
  expect(jurisdiction(" 3301  330206,3302 ")).toEqual(["3301", "330206", "3302"]);
  expect(jurisdiction("")).toEqual([]);
  expect(jurisdiction("all 3301")).toEqual(["all", "3301"]); // the server refuses it
  expect(spelt(["3301", "3302"])).toBe("3301 3302");
  expect(spelt("all")).toBe("all");
});
