import { expect, test } from "vitest";
import { firstLanguage, words } from "./words";

test("English holds no Chinese", () => {
  const text = JSON.stringify(words("en"));
  expect(text).not.toMatch(/[\u4e00-\u9fff]/);
  expect(Object.keys(words("en").errors)).toEqual(Object.keys(words("zh").errors));
});

test("the link's language wins over the browser's, Chinese comes first", () => {
  expect(firstLanguage("#lang=en", ["zh-CN"])).toBe("en");
  expect(firstLanguage("", ["en-GB", "zh-CN"])).toBe("en");
  expect(firstLanguage("#scope=3301", ["fr", "zh-CN", "en"])).toBe("zh");
  expect(firstLanguage("", [])).toBe("zh");
});
