import { expect, test } from "vitest";
import { sourceBounds, unwrapped } from "./bounds";

test("a box over the 180th meridian is framed the short way", () => {
  expect(unwrapped([170, -20, -175, -10])).toEqual([170, -20, 185, -10]);
  expect(unwrapped([118, 29, 120.5, 30.5])).toEqual([118, 29, 120.5, 30.5]);
  expect(sourceBounds([170, -20, -175, -10])).toEqual([-180, -20, 180, -10]);
  expect(sourceBounds([118, 29, 120, 30], 1)).toEqual([117, 28, 121, 31]);
});
