import { expect, test } from "vitest";
import { addresses, Failure } from "./client";
import { decode, thetaOf } from "./values";

test("a payload is n colours, then n relative risks", () => {
  const values = decode(new Uint8Array([0, 2, 5, 0, 128, 144]).buffer, 3);
  expect([...values.colour]).toEqual([0, 2, 5]);
  expect([...values.theta].map(thetaOf)).toEqual([null, 1, 2]);
});

test("a payload of another length is refused, not painted", () => {
  expect(() => decode(new ArrayBuffer(7), 3)).toThrow(Failure);
});

test("relative risks are kept within 2.2 %", () => {
  for (const theta of [0.25, 0.8, 1, 1.1, 1.5, 3.7, 40]) {
    const byte = Math.round(128 + 16 * Math.log2(theta));
    expect(Math.abs((thetaOf(byte) as number) / theta - 1)).toBeLessThan(0.022);
  }
});

test("addresses", () => {
  const question = {
    run: 3,
    level: "town",
    kind: "overall",
    period: "month",
    ord: 5,
    within: "",
  } as const;
  expect(addresses.values(question)).toBe("/api/runs/3/values/town/overall/month/5");
  expect(addresses.summary(question)).toBe(
    "/api/runs/3/summary?level=town&kind=overall&period=month&ord=5",
  );
  expect(addresses.ranking({ ...question, within: "330110" }, 9)).toContain(
    "within=330110&limit=9",
  );
  expect(addresses.unit("a b", "x/y")).toBe("/api/packs/a%20b/units/x%2Fy");
});
