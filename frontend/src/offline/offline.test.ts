import { describe, expect, it } from "vitest";
import { type Action, isLater, type Outcome, ownerOf, Queue } from "./queue";
import { changesHands, isAway, isYoung, OLDEST_MS, wayOf } from "./rules";
import { Memory, type Store } from "./store";

const HERE = "https://map.example";
const way = (address: string, method = "GET", navigation = false) =>
  wayOf(method, `${HERE}${address}`, HERE, navigation);

describe("whose actions wait", () => {
  it("is said alike on every page, and by nobody before the session is known", () => {
    expect(ownerOf({ access: "accounts", account: 7 })).toBe("accounts 7");
    expect(ownerOf({ access: "single", account: null })).toBe(ownerOf({ access: "single" }));
    expect(ownerOf(undefined)).toBe("");
  });
});

describe("what the worker keeps", () => {
  it("keeps the answers of the border and of tasks, never positions, streams, files", () => {
    expect(way("/api/zones/3")).toBe("answer");
    expect(way("/api/zones?pack=a")).toBe("answer");
    expect(way("/api/packs/a/border/lines")).toBe("answer");
    expect(way("/api/packs/a/border/where?lon=118&lat=29")).toBeNull();
    expect(way("/api/live")).toBeNull();
    expect(way("/api/runs/1/export.csv")).toBeNull();
    expect(way("/api/tasks/4/photos/1")).toBeNull();
    expect(way("/api/zonesque")).toBeNull();
  });
  it("keeps out of what is sent and of other hosts", () => {
    expect(way("/api/zones", "POST")).toBeNull();
    expect(wayOf("GET", "https://other.example/api/zones", HERE)).toBeNull();
  });
  it("opens only named pages", () => {
    expect(way("/border", "GET", true)).toBe("page");
    expect(way("/border.html?x=1", "GET", true)).toBe("page");
    expect(way("/", "GET", true)).toBeNull();
    expect(way("/tiles/a/1/2/3.mvt")).toBe("tile");
    expect(way("/assets/x-1.js")).toBe("asset");
  });
  it("knows trouble, age and a change of hands", () => {
    expect([0, 200, 404, 500, 502, 503, 504].map(isAway)).toEqual([
      true,
      false,
      false,
      false,
      true,
      true,
      true,
    ]);
    const now = Date.parse("2026-11-22T10:00:00Z");
    expect(isYoung("2026-11-22T09:00:00Z", now)).toBe(true);
    expect(isYoung(new Date(now - OLDEST_MS - 1).toISOString(), now)).toBe(false);
    expect(isYoung(null, now)).toBe(false);
    expect(changesHands("DELETE", "/api/session")).toBe(true);
    expect(changesHands("GET", "/api/session")).toBe(false);
    expect(changesHands("GET", "/api/oidc/city/callback")).toBe(true);
    expect(changesHands("GET", "/api/oidc/city/login")).toBe(false);
    expect(changesHands("POST", "/api/zones")).toBe(false);
  });
});

/** A queue on a store that may break, and a server that answers as told. */
function queueOf(
  answers: (Outcome | (() => never))[],
  store: Store<Action> = new Memory<Action>(),
) {
  const sent: string[] = [];
  const queue = new Queue(store, async (action) => {
    sent.push(action.key);
    const next = answers.shift() ?? { kind: "taken", value: action.title };
    return typeof next === "function" ? next() : next;
  });
  return { queue, sent, store };
}
const draft = (title: string) => ({
  method: "POST" as const,
  address: "/api/checks/1/answers",
  body: { answer: title },
  title,
  of: "check 1",
});
const NO: Outcome = {
  kind: "no",
  no: { status: 409, code: "conflict", message: "over", at: "2026-11-22T10:00:00Z" },
};

describe("the queue", () => {
  it("sends in order and forgets only what was taken", async () => {
    const { queue, sent } = queueOf([]);
    const a = await queue.add(draft("a"), "me");
    const b = await queue.add(draft("b"), "me");
    const taken = await queue.flush("me");
    expect(sent).toEqual([a.key, b.key]);
    expect([...taken.values()]).toEqual(["a", "b"]);
    expect(await queue.of("me")).toEqual([]);
  });
  it("stops where nobody answers and comes back with the same key", async () => {
    const { queue, sent } = queueOf([{ kind: "away" }]);
    const a = await queue.add(draft("a"), "me");
    const b = await queue.add(draft("b"), "me");
    await queue.flush("me");
    expect(sent).toEqual([a.key]);
    expect((await queue.of("me")).map((one) => [one.key, one.tries])).toEqual([
      [a.key, 1],
      [b.key, 0],
    ]);
    await queue.flush("me");
    expect(sent).toEqual([a.key, a.key, b.key]);
  });
  it("keeps what was refused, with the reason, until it is let go", async () => {
    const { queue, sent } = queueOf([NO]);
    const a = await queue.add(draft("a"), "me");
    await queue.add(draft("b"), "me");
    await queue.flush("me");
    await queue.flush("me");
    expect(sent.length).toBe(2);
    expect((await queue.of("me")).map((one) => one.refused?.code)).toEqual(["conflict"]);
    await queue.again(a.key);
    expect((await queue.of("me"))[0]?.refused).toBeNull();
    await queue.drop(a.key);
    expect(await queue.of("me")).toEqual([]);
  });
  it("sends nothing under another account", async () => {
    const { queue, sent } = queueOf([]);
    await queue.add(draft("a"), "one");
    await queue.flush("two");
    expect(sent).toEqual([]);
    expect(await queue.others("two")).toBe(1);
  });
  it("loses nothing when a page ends half-way", async () => {
    const store = new Memory<Action>();
    const first = queueOf(
      [
        () => {
          throw new Error("closed");
        },
      ],
      store,
    );
    const a = await first.queue.add(draft("a"), "me");
    await expect(first.queue.flush("me")).rejects.toThrow("closed");
    const second = queueOf([], store);
    await second.queue.flush("me");
    expect(second.sent).toEqual([a.key]);
  });
  it("never sends one action twice at once", async () => {
    const { queue, sent } = queueOf([]);
    await queue.add(draft("a"), "me");
    await Promise.all([queue.flush("me"), queue.flush("me"), queue.flush("me")]);
    expect(sent.length).toBe(1);
  });
  it("tells later from never", () => {
    expect([0, 401, 403, 409, 422, 429, 500, 503].filter(isLater)).toEqual([0, 401, 429, 503]);
  });
});
