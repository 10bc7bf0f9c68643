import { expect, test } from "vitest";
import { alertName } from "./kind-names";
import type { Model } from "./model";

test("an alert is named by its kind, of an indicator by what its scene calls it", () => {
  const model = {
    map: () => ({ kinds: [{ id: "fire", title: { zh: "火灾", en: "Fire" } }] }),
    title: (one: { zh: string }) => one.zh,
  } as unknown as Model;
  const name = (kind: string, title: { zh: string; en: string } | null) =>
    alertName(model, { kind, title });
  expect(name("fire", null)).toBe("火灾");
  expect(name("lit_share", { zh: "亮灯率", en: "Lamps lit" })).toBe("亮灯率");
  expect(name("gone", null)).toBe("gone");
});
