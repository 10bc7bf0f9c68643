/** Random losses, retries, crashes, refusals: no act of a phone is lost, none is done twice, order is kept. */
import { expect, test } from "vitest";
import { type Action, type Outcome, Queue } from "../offline/queue";
import type { Store } from "../offline/store";

/** Small seeded generator (mulberry32), so that a failure can be repeated. */
function dice(seed: number): () => number {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

class Crash extends Error {}

/** A disk: keeps copies; the page may die before or after a change is on it. */
class Disk implements Store<Action> {
  readonly lasting = true;
  readonly rows = new Map<string, Action>();
  constructor(private readonly dies: () => "before" | "after" | "no") {}
  async all() {
    return [...this.rows.values()].map((one) => structuredClone(one));
  }
  async put(row: Action) {
    this.change(() => this.rows.set(row.key, structuredClone(row)));
  }
  async drop(key: string) {
    this.change(() => this.rows.delete(key));
  }
  private change(act: () => void) {
    const dies = this.dies();
    if (dies === "before") throw new Crash();
    act();
    if (dies === "after") throw new Crash();
  }
}

/** The server: does each key once, answers the same key the same, refuses what it must for good. */
class Server {
  readonly done: string[] = [];
  readonly asked = new Map<string, number>();
  take(action: Action): Outcome {
    const key = (action.body as { key: string }).key;
    this.asked.set(key, (this.asked.get(key) ?? 0) + 1);
    if (action.title === "no") {
      return { kind: "no", no: { status: 409, code: "conflict", message: "", at: "" } };
    }
    if (!this.done.includes(key)) this.done.push(key);
    return { kind: "taken", value: key };
  }
}

/** What becomes of one try; the server may or may not have heard it. */
function fate(roll: number, server: Server, action: Action): Outcome {
  if (roll < 0.15) return { kind: "away" };
  if (roll < 0.3) {
    server.take(action);
    return { kind: "away" };
  }
  if (roll < 0.36) {
    server.take(action);
    throw new Crash();
  }
  if (roll < 0.4) throw new Crash();
  return server.take(action);
}

interface History {
  server: Server;
  disk: Disk;
  made: string[];
  refused: string[];
  crashes: number;
}

async function history(seed: number): Promise<History> {
  const roll = dice(seed);
  let calm = false;
  const disk = new Disk(() => {
    const one = calm ? 1 : roll();
    if (one < 0.04) return "before";
    return one < 0.08 ? "after" : "no";
  });
  const server = new Server();
  const open = () => new Queue(disk, async (action) => fate(calm ? 1 : roll(), server, action));
  const out: History = { server, disk, made: [], refused: [], crashes: 0 };
  let pages = [open(), open()];
  for (let round = 0; round < 36; round++) {
    if (roll() < 0.6) {
      const key = `${seed}-${round}`;
      const title = roll() < 0.1 ? "no" : "yes";
      const draft = {
        method: "POST" as const,
        address: "/api/tasks/1/steps",
        title,
        of: "task:1:accepted",
        body: { key },
      };
      await (pages[0] as Queue).add(draft, "a").catch(() => {
        out.crashes += 1;
      });
      // the page died while writing: the act is on the disk or it is not, and the reader sees which
      const there = [...disk.rows.values()].some(
        (one) => (one.body as { key: string }).key === key,
      );
      if (there) (title === "no" ? out.refused : out.made).push(key);
    }
    const runs = roll() < 0.3 ? pages : pages.slice(0, 1);
    const all = await Promise.allSettled(runs.map((one) => one.flush("a")));
    out.crashes += all.filter((one) => one.status === "rejected").length;
    // another account on the same phone sends nothing of this one's
    if (roll() < 0.2)
      expect((await (pages[1] as Queue).flush("b").catch(() => new Map())).size).toBe(0);
    if (roll() < 0.2) pages = [open(), open()];
  }
  calm = true;
  await open().flush("a");
  return out;
}

test("300 random histories lose nothing and double nothing", async () => {
  let again = 0;
  let crashes = 0;
  for (let seed = 1; seed <= 300; seed++) {
    const { server, disk, made, refused, crashes: died } = await history(seed);
    // all of them, each once, in the order they were made
    expect(server.done).toEqual(made);
    // what was refused stays with its reason until it has been read
    const left = [...disk.rows.values()];
    expect(left.map((one) => (one.body as { key: string }).key)).toEqual(refused);
    expect(left.every((one) => one.refused?.status === 409)).toBe(true);
    again += [...server.asked.values()].filter((n) => n > 1).length;
    crashes += died;
  }
  // the histories were hard enough to mean something
  expect(again).toBeGreaterThan(500);
  expect(crashes).toBeGreaterThan(500);
}, 60_000); // 2 s of work, more beside other work
