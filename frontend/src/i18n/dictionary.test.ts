import { expect, test } from "vitest";
import { dictionary } from ".";

type Tree = Record<string, unknown>;

function shape(tree: Tree, path = ""): string[] {
  return Object.entries(tree).flatMap(([key, value]) => {
    const here = `${path}.${key}`;
    if (typeof value === "function") return [`${here}(${value.length})`];
    return typeof value === "object" ? shape(value as Tree, here) : [here];
  });
}

test("both languages have the same keys with the same parameters", () => {
  // an unused trailing parameter may be left out, so only the names are compared strictly
  const names = (lang: "zh" | "en") =>
    shape(dictionary(lang)).map((one) => one.replace(/\(\d\)/, "()"));
  expect(names("en").sort()).toEqual(names("zh").sort());
});

test("the page without a map speaks of no other panels", () => {
  expect(dictionary("zh").failedPage).not.toMatch(/面板/);
  expect(dictionary("en").failedPage).not.toMatch(/panel/i);
});

test("English holds no Chinese, and no text is empty but by intent", () => {
  const texts = (tree: Tree): string[] =>
    Object.values(tree).flatMap((value) => {
      if (typeof value === "string") return [value];
      if (typeof value === "function")
        return [String((value as (...a: string[]) => string)("1", "2", "3", "4", "5"))];
      return texts(value as Tree);
    });
  for (const text of texts(dictionary("en") as unknown as Tree)) {
    expect(text).not.toMatch(/[\u3000-\u9fff\uff00-\uffef]/);
  }
  for (const text of texts(dictionary("zh") as unknown as Tree)) {
    expect(text).not.toMatch(/[!！]/);
  }
});

test("English plurals", () => {
  const { plural } = dictionary("en");
  expect(["City", "County", "Town", "Grid"].map(plural)).toEqual([
    "cities",
    "counties",
    "towns",
    "grids",
  ]);
});
