import { describe, expect, it } from "vitest";
import { hasRoom, standsAt } from "./framing";

const camera = (lng: number, lat: number, zoom: number) =>
  ({ getCenter: () => ({ lng, lat }), getZoom: () => zoom }) as Parameters<typeof standsAt>[0];

describe("a framed map", () => {
  const spot = { lng: 119.5, lat: 29.9, zoom: 8 };
  it("stands where it was put, to half a pixel", () => {
    const pixel = 360 / (512 * 2 ** 8);
    expect(standsAt(camera(119.5, 29.9, 8), spot)).toBe(true);
    expect(standsAt(camera(119.5 + 0.4 * pixel, 29.9, 8), spot)).toBe(true);
    expect(standsAt(camera(119.5 + 0.6 * pixel, 29.9, 8), spot)).toBe(false);
    expect(standsAt(camera(119.5, 29.9 - 2 * pixel, 8), spot)).toBe(false);
    expect(standsAt(camera(119.5, 29.9, 8.01), spot)).toBe(false);
  });

  it("needs more room than is kept free", () => {
    const padding = { top: 64, right: 16, bottom: 127, left: 16 };
    expect(hasRoom(390, 436, padding)).toBe(true);
    expect(hasRoom(390, 191, padding)).toBe(false);
    expect(hasRoom(32, 436, padding)).toBe(false);
  });
});
