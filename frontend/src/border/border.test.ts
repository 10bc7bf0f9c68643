import { describe, expect, it } from "vitest";
import type { Position } from "../draw/shapes";
import { ringOf } from "./clusters";
import { en } from "./en";
import { leftText, metresParts, metresText, octant, pText, shareOver } from "./format";
import { newestOf } from "./live";
import { zoneLook } from "./map-sources";
import { clustersOf, isRunning, shortName } from "./model";
import { bearing, metresBetween, nearestOf } from "./nearest";
import { currentPeriod } from "./periods";
import { workedOut } from "./place";
import { askedOf, askedText, openOf, openText, parse, serialise } from "./state";
import { stepsOf } from "./steps";
import type { BorderLines, Check, PooledRun, Zone } from "./types";
import { zh } from "./zh";

describe("the link", () => {
  it("comes back as it was", () => {
    const links = [
      "",
      "#tab=map",
      "#open=zone.3&at=118.24,29.45",
      "#open=zone-new&lang=en",
      "#tab=checks&open=check.12&at=330824&pooled=4&period=quarter&theme=night",
    ];
    for (const link of links) expect(serialise(parse(link))).toBe(link);
  });
  it("falls back where it is broken, and never throws", () => {
    for (const broken of [
      "#tab=x&open=zone&at=200,1&pooled=-1",
      "#open=zone.x&at=1,2,3",
      "#open=check.&at=a%20b",
      "#open=nothing.1&at=,",
      "#open=zone.99999999999",
    ]) {
      const found = parse(broken);
      expect([found.open, found.at, found.tab, found.pooled]).toEqual(["", "", "here", 0]);
    }
  });
  it("names what is open and the place", () => {
    expect(openOf("zone.3")).toEqual({ what: "zone", id: 3 });
    expect(openText({ what: "zone-new" })).toBe("zone-new");
    expect(askedOf("118.24,29.45")).toEqual({ lon: 118.24, lat: 29.45 });
    expect(askedOf("330824")).toEqual({ code: "330824" });
    // a device has a code, too, and another side's is not told
    expect(askedText({ lon: 118.123456789, lat: 29, code: null } as never)).toBe("118.12346,29");
  });
});

describe("distances", () => {
  // geodesics of WGS84 (pyproj.Geod)
  const known: [Position, Position, number, number][] = [
    [[119.98, 29.5], [120, 29.5], 1939.326, 89.995],
    [[118.1, 28.6], [118.3, 28.8], 29551.61, 41.354],
    [[120, 30], [120, 29], 110844.074, 180],
  ];
  it("are those of the ellipsoid", () => {
    for (const [a, b, metres, azimuth] of known) {
      expect(Math.abs(metresBetween(a, b) - metres)).toBeLessThan(metres > 50_000 ? 6 : 1);
      expect(Math.abs(bearing(a, b) - azimuth)).toBeLessThan(0.2);
    }
  });
  it("end at the nearest place of the nearest line", () => {
    const lines = [
      { of: "a", parts: [[[120, 29] as Position, [120, 30] as Position]] },
      { of: "b", parts: [[[121, 29] as Position, [121, 30] as Position]] },
    ];
    const found = nearestOf([119.98, 29.5], lines);
    expect(found?.of).toBe("a");
    expect(Math.abs((found?.metres ?? 0) - 1939.33)).toBeLessThan(1);
    expect(found?.at[1]).toBeCloseTo(29.5, 3);
    expect(nearestOf([119.98, 31], lines)?.at).toEqual([120, 30]);
    expect(nearestOf([0, 0], [])).toBeNull();
  });
  it("agree with a search along the line", () => {
    const line: Position[] = Array.from({ length: 40 }, (_, i) => [
      118 + i * 0.01,
      29 + 0.03 * Math.sin(i),
    ]);
    for (let k = 0; k < 25; k++) {
      const p: Position = [118 + k * 0.016, 29 + 0.05 * Math.cos(k * 3)];
      let least = Number.POSITIVE_INFINITY;
      for (let i = 1; i < line.length; i++) {
        const [a, b] = [line[i - 1] as Position, line[i] as Position];
        for (let t = 0; t <= 1; t += 1 / 400) {
          const q: Position = [a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])];
          least = Math.min(least, metresBetween(p, q));
        }
      }
      const found = nearestOf(p, [{ of: 0, parts: [line] }])?.metres ?? 0;
      expect(Math.abs(found - least)).toBeLessThan(3);
      expect(found).toBeLessThanOrEqual(least + 0.5);
    }
  });
  it("are worked out without a server", () => {
    const lines = {
      pack: "p",
      boundary_version: "1",
      sides: [],
      own: ["1"],
      length_m: 0,
      lines: [
        {
          side_a: { code: "1", name: "甲市" },
          side_b: { code: "2", name: "乙市" },
          length_m: 0,
          geometry: {
            type: "MultiLineString",
            coordinates: [
              [
                [120, 29],
                [120, 30],
              ],
            ],
          },
        },
      ],
    } as unknown as BorderLines;
    const square = [
      [119.9, 29.4],
      [120.1, 29.4],
      [120.1, 29.6],
      [119.9, 29.6],
      [119.9, 29.4],
    ];
    const zone = (id: number, in_force: boolean) => ({
      id,
      name: `z${id}`,
      sides: ["1", "2"],
      version: {
        version: 1,
        in_force,
        valid_to: null,
        geometry: { type: "Polygon", coordinates: [square] },
      },
    });
    const point = (code: string, lon: number) => ({ code, lon, lat: 29.5 });
    const found = workedOut(
      [119.98, 29.5],
      lines,
      {
        desks: [],
        checkpoints: [point("far", 121), point("near", 119.97)] as never,
        zones: { zones: [zone(1, true), zone(2, false)], tiles: {} } as never,
        devices: [],
      },
      new Date(0),
    );
    expect(Math.abs((found.metres_to_line ?? 0) - 1939.33)).toBeLessThan(1);
    expect(found.azimuth).toBeCloseTo(90, 0);
    expect(found.zones.map((one) => one.id)).toEqual([1]);
    expect(found.checkpoints.map((one) => one.code)).toEqual(["near", "far"]);
    expect(found.side).toBeNull();
  });
});

describe("texts", () => {
  it("print distances, times, probabilities", () => {
    expect(metresText(1236.4)).toBe("1,236 m");
    expect(metresText(12_400)).toBe("12.4 km");
    expect(metresParts(840)).toEqual(["840", "m"]);
    const now = new Date("2026-01-01T10:00:00Z");
    expect(leftText("2026-01-01T11:32:10Z", now)).toBe("1:32");
    expect(leftText("2026-01-01T10:05:09Z", now)).toBe("5:09");
    expect(leftText("2026-01-01T09:00:00Z", now)).toBe("0:00");
    expect(shareOver("2026-01-01T09:00:00Z", "2026-01-01T11:00:00Z", now)).toBe(0.5);
    expect([0, 44, 46, 359, -90].map(octant)).toEqual([0, 1, 1, 0, 6]);
    expect([0.0004, 0.002, 0.09, 0.3, null].map(pText)).toEqual([
      "p<.001",
      "p=.002",
      "p=.09",
      "p=.3",
      "—",
    ]);
    expect(["衢州市", "甲", "大余"].map(shortName)).toEqual(["衢州", "甲", "大余"]);
  });
  it("are the same in both languages", () => {
    const keys = (of: object): string[] =>
      Object.entries(of).flatMap(([key, value]) =>
        typeof value === "object" && value !== null && !Array.isArray(value)
          ? keys(value).map((one) => `${key}.${one}`)
          : [`${key}:${typeof value}`],
      );
    expect(keys(en).sort()).toEqual(keys(zh).sort());
  });
});

describe("checks and what is told", () => {
  const check = {
    id: 1,
    state: "running",
    opened_at: "2026-01-01T10:00:00Z",
    ends_at: "2026-01-01T12:00:00Z",
    sides: [{ side: "2", answer: "accept", reason: "好", at: null }],
    reports: [
      { side: "2", answer: "no_hit", checkpoint: "龙田", place: "", reason: "", at: "t1" },
      { side: "2", answer: "hit", checkpoint: null, place: "K3", reason: "", at: "t2" },
    ],
    events: ["open", "accept", "no_hit", "hit", "expire"].map((step, n) => ({
      n,
      step,
      side: step === "expire" ? null : "2",
      at: `e${n}`,
    })),
  } as unknown as Check;
  it("are steps in words, reports with their place and time", () => {
    expect(stepsOf(check, zh, () => "乙")).toEqual([
      { title: "已发起", sub: "乙", at: "e0" },
      { title: "乙接受", sub: "好", at: "e1" },
      { title: "龙田：未发现", sub: "", at: "t1" },
      { title: "乙：有发现", sub: "K3", at: "t2" },
      { title: "到时自动关闭", sub: "", at: "e4" },
    ]);
  });
  it("run until their time", () => {
    expect(isRunning(check, new Date("2026-01-01T11:59:59Z"))).toBe(true);
    expect(isRunning(check, new Date("2026-01-01T12:00:00Z"))).toBe(false);
    expect(isRunning({ ...check, state: "closed" }, new Date("2026-01-01T11:00:00Z"))).toBe(false);
  });
  it("know the newest number of an answer", () => {
    expect(newestOf("id: 4\nevent: check\ndata: {}\n\nid: 12\ndata: {}\n\n")).toBe(12);
    expect(newestOf("")).toBe(0);
  });
});

describe("clusters and zones on the map", () => {
  it("turn clockwise, so that rays point outward", () => {
    const ring = ringOf([118, 29], 5000);
    let twice = 0;
    for (let i = 1; i < ring.length; i++) {
      const [a, b] = [ring[i - 1] as Position, ring[i] as Position];
      twice += (b[0] - a[0]) * (b[1] + a[1]);
    }
    expect(twice).toBeGreaterThan(0);
  });
  it("are listed by number", () => {
    const one = (number: number) => ({ properties: { number } });
    const found = clustersOf({ features: [one(2), one(1)] } as never);
    expect(found.map((each) => each.number)).toEqual([1, 2]);
    expect(clustersOf(undefined)).toEqual([]);
  });
  it("are of the period asked for, else of the newest", () => {
    const run = (id: number, period: string, from: string) => ({ id, period, from }) as PooledRun;
    const runs = [
      run(1, "quarter", "2025-07-01"),
      run(2, "quarter", "2025-10-01"),
      run(3, "year", "2025-01-01"),
    ];
    expect(currentPeriod(runs, { pooled: 1, period: "month" })?.id).toBe(1);
    expect(currentPeriod(runs, { pooled: 0, period: "quarter" })?.id).toBe(2);
    expect(currentPeriod(runs, { pooled: 0, period: "month" })?.id).toBe(2);
    expect(currentPeriod([], { pooled: 0, period: "month" })).toBeUndefined();
  });
  it("look as they stand", () => {
    const zone = (state: string, in_force: boolean) => ({ version: { state, in_force } }) as Zone;
    expect(zoneLook(zone("live", true))).toBe("live");
    expect(zoneLook(zone("live", false))).toBe("proposed");
    expect(zoneLook(zone("proposed", false))).toBe("proposed");
    expect(zoneLook(zone("rejected", false))).toBe("over");
    expect(zoneLook({ version: null } as Zone)).toBe("over");
  });
});
