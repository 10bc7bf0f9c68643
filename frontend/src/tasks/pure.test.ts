/** Words of time, acts, order and filters of tasks, the address of the page. */
import { describe, expect, test } from "vitest";
import type { Task } from "../api/tasks";
import { due, span, when } from "./due";
import { measure, offersOf } from "./measures";
import { around, boldNumbers, boxOf, oneLine } from "./place";
import { tilesUnder } from "./prefetch";
import { parse, serialise } from "./state";
import {
  acts,
  freshest,
  mergeTargets,
  metres,
  reached,
  sorted,
  within,
  withOne,
  withWaiting,
} from "./steps";

const ZONE = "Asia/Shanghai";
const NOW = new Date("2026-11-22T00:12:00Z"); // 08:12 in Hangzhou

const task = (id: number, more: Partial<Task> = {}): Task => ({
  id,
  pack: "hangzhou",
  alert: id,
  code: "330110010001001",
  name: "01 网格",
  level: "grid",
  kind: "dispute",
  title: null,
  colour: "red",
  reason: { zh: "", en: "" },
  check: [],
  how: [],
  state: "sent",
  due_at: "2026-11-22T10:00:00Z",
  overdue: false,
  steps: [],
  lon: 120,
  lat: 30,
  desk: null,
  escalation: "none",
  version: 1,
  answer: null,
  measures: [],
  count: null,
  offers: [],
  desk_code: null,
  merged_into: null,
  photos: [],
  changed_at: "2026-11-21T00:00:00Z",
  ...more,
});

describe("due times", () => {
  test("are said as people say them, on the map's own clock", () => {
    expect(due("2026-11-22T04:00:00Z", NOW, ZONE, "zh").text).toBe("今天 12:00 前");
    expect(due("2026-11-23T01:00:00Z", NOW, ZONE, "zh").text).toBe("明天 09:00 前");
    expect(due("2026-11-22T16:30:00Z", NOW, ZONE, "zh").text).toBe("明天 00:30 前");
    expect(due("2026-12-01T01:00:00Z", NOW, ZONE, "en").text).toBe("by 12-01 09:00");
    expect(due("2027-01-01T01:00:00Z", NOW, ZONE, "zh").text).toBe("2027-01-01 09:00 前");
    expect(when("2026-11-21T01:00:00Z", NOW, ZONE, "en")).toBe("yesterday 09:00");
  });
  test("late is late from the first millisecond on", () => {
    expect(due("2026-11-21T22:02:00Z", NOW, ZONE, "zh")).toEqual({
      late: true,
      text: "逾期 2 小时 10 分",
    });
    expect(due(NOW.toISOString(), NOW, ZONE, "zh").late).toBe(false);
  });
  test("spans", () => {
    expect(span(30_000, "zh")).toBe("1 分");
    expect(span(7_200_000, "zh")).toBe("2 小时");
    expect(span(49 * 3_600_000, "zh")).toBe("2 天");
    expect(span(3 * 3_600_000 + 60_000, "en")).toBe("3 h 1 min");
  });
});

describe("acts", () => {
  const both = { work: true, dispatch: true };
  test("each state offers its next step first", () => {
    const first = (["sent", "accepted", "on_site", "feedback", "verified"] as const).map(
      (state) => acts(state, both)[0],
    );
    expect(first).toEqual(["accept", "arrive", "report", "verify", "close"]);
    expect(acts("feedback", both)).toEqual(["verify", "sendBack"]);
    expect(acts("accepted", both)).toEqual(["arrive", "handover", "merge"]);
    expect(acts("declined", both)).toEqual(["handover", "merge"]);
    expect(acts("closed", both)).toEqual([]);
    expect(acts("merged", both)).toEqual([]);
  });
  test("a task goes into one under way: of the same place, then of the same kind, then the nearest", () => {
    const mine = task(1);
    const others = [
      task(2, { kind: "fire", code: "330110010001002", lon: 120.01 }),
      task(3, { code: "330110010001003", lon: 120.5 }),
      task(4, { code: "330110010001004", lon: 120.2 }),
      task(5, { kind: "fire" }),
      task(6, { state: "merged" }),
      task(7, { pack: "other" }),
    ];
    expect(mergeTargets(mine, [mine, ...others]).map((one) => one.id)).toEqual([5, 4, 3, 2]);
  });
  test("who may only work neither verifies nor closes, who may only look does nothing", () => {
    const hands = { work: true, dispatch: false };
    expect(acts("feedback", hands)).toEqual([]);
    expect(acts("verified", hands)).toEqual([]);
    expect(acts("sent", { work: false, dispatch: false })).toEqual([]);
  });
  test("the bar counts six steps", () => {
    expect(reached("sent")).toBe(1);
    expect(reached("closed")).toBe(6);
    expect(reached("declined")).toBe(0);
  });
});

describe("the list", () => {
  test("what waits is shown as done, in order, and counted", () => {
    const [one] = withWaiting(
      [task(1)],
      [
        { task: 1, to: "accepted", at: "a" },
        { task: 2, to: "accepted", at: "a" },
        { task: 1, to: "on_site", at: "b" },
        { task: 1, to: "", at: "c" },
      ],
    );
    expect(one?.state).toBe("on_site");
    expect(one?.waiting).toBe(3);
    expect(one?.steps.map((step) => step.state)).toEqual(["accepted", "on_site"]);
    const [back] = withWaiting(
      [task(1, { state: "feedback" })],
      [{ task: 1, to: "returned", at: "a" }],
    );
    expect(back?.state).toBe("accepted");
    const [given] = withWaiting([task(1)], [{ task: 1, to: "handed_over", at: "a" }]);
    expect(given?.state).toBe("sent");
  });
  test("overdue, then due first, then the worse colour", () => {
    const rows = withWaiting(
      [
        task(1, { due_at: "2026-11-23T00:00:00Z" }),
        task(2, { colour: "yellow" }),
        task(3, { colour: "orange" }),
        task(4, { due_at: "2026-11-24T00:00:00Z", overdue: true }),
      ],
      [],
    );
    expect(sorted(rows).map((one) => one.id)).toEqual([4, 3, 2, 1]);
  });
  test("an answer that comes late does not undo a step", () => {
    const done = task(1, { state: "accepted", version: 2 });
    expect(withOne([task(1), task(2)], done).map((one) => one.state)).toEqual(["accepted", "sent"]);
    expect(withOne([done], task(1))).toEqual([done]);
    const told = freshest([done], [task(1), task(3)]);
    expect(told.map((one) => [one.id, one.version])).toEqual([
      [1, 2],
      [3, 1],
    ]);
    expect(freshest(undefined, [task(1)])).toHaveLength(1);
  });
  test("parts of it", () => {
    const of = (more: Partial<Task>) => withWaiting([task(1, more)], [])[0] as never;
    expect(within(of({ state: "closed" }), "all")).toBe(false);
    expect(within(of({ state: "closed" }), "done")).toBe(true);
    expect(within(of({ overdue: true }), "late")).toBe(true);
    expect(within(of({ state: "verified" }), "check")).toBe(true);
    expect(within(of({ state: "on_site" }), "new")).toBe(false);
  });
  test("metres between places", () => {
    expect(metres([120, 30], [120, 30])).toBe(0);
    expect(metres([120, 30], [120, 31])).toBeCloseTo(111_195, -1);
  });
});

describe("reasons", () => {
  const zh =
    "2025年12月发生5件，预期0.63件，连同此前记忆的7.6件（预期4.8件）；相对风险1.6（95%区间1.0–2.4），高于预期的概率96.6%；本期首次触发。";
  const en =
    "December 2025: 5 observed, 0.63 expected, with 7.6 remembered from before (4.8 expected); relative risk 1.6.";
  test("one line says how many and how many were expected", () => {
    expect(oneLine(zh)).toBe("2025年12月发生5件，预期0.63件");
    expect(oneLine(en)).toBe("December 2025: 5 observed, 0.63 expected");
    expect(oneLine("短")).toBe("短");
  });
  test("counts are bold, dates and shares are not", () => {
    const bold = (text: string) => boldNumbers(text).filter((_, i) => i % 2 === 1);
    expect(bold(zh)).toEqual(["5", "0.63", "7.6", "4.8"]);
    expect(bold(en)).toEqual(["5", "0.63", "4.8"]);
    expect(boldNumbers(zh).join("")).toBe(zh);
  });
});

describe("measures", () => {
  const offers = [{ zh: "清障", en: "Cleared" }];
  test("the sheet's own words, else general ones; what nobody knows is told as written", () => {
    expect(offersOf(task(1, { offers }))).toEqual(offers);
    expect(offersOf(task(1)).length).toBeGreaterThan(3);
    expect(measure(task(1, { offers }), "清障").en).toBe("Cleared");
    expect(measure(task(1), "增派巡查").en).toBe("More patrols");
    expect(measure(task(1), "别的")).toEqual({ zh: "别的", en: "别的" });
  });
});

describe("frames", () => {
  test("around a unit and around places", () => {
    expect(around([120, 30, 120.01, 30.02], 2).map((x) => Number(x.toFixed(4)))).toEqual([
      119.995, 29.99, 120.015, 30.03,
    ]);
    expect(boxOf([])).toBeNull();
    const [west, , east] = boxOf([[120, 30]]) as number[];
    expect((east as number) - (west as number)).toBeGreaterThan(0.003);
  });
});

describe("tiles fetched ahead", () => {
  const view = { width: 440, height: 136, padding: 18 };
  test("are those under the view, at the zoom of the map", () => {
    const box = around([120.0, 30.3, 120.02, 30.32], 1.6);
    const tiles = tilesUnder(box, view, { min: 6, max: 14 });
    const n = 2 ** 10;
    // 0.032° of latitude on 100 px: zoom 10 and a bit
    expect(new Set(tiles.map(([z]) => z))).toEqual(new Set([10]));
    expect(tiles.map(([, x]) => x)).toContain(Math.floor((120.01 / 360 + 0.5) * n));
    expect(tiles.length).toBeLessThanOrEqual(6);
  });
  test("stay inside the zooms of the level", () => {
    const box = around([120.0, 30.3, 120.002, 30.302], 1.6);
    expect(tilesUnder(box, view, { min: 6, max: 13 }).every(([z]) => z === 13)).toBe(true);
    expect(tilesUnder([118, 29, 121, 31], view, { min: 12, max: 14 })).toEqual([]);
  });
});

describe("the address", () => {
  test("comes back as it was, whatever is in it", () => {
    const state = parse("#task=12&filter=late&tab=done&form=1&lang=en&map=hangzhou");
    expect(state.task).toBe(12);
    expect(parse(serialise(state))).toEqual(state);
    expect(serialise(parse(""))).toBe("");
    expect(parse("#task=-1&filter=x&tab=y").task).toBe(0);
    expect(parse("#task=1e5").task).toBe(0);
  });
});
