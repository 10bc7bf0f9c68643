/** The worker itself, on a cache and a network of the test: what one account heard is not shown to the next. */
import { beforeEach, describe, expect, it, vi } from "vitest";

const HERE = "https://map.example";
type Hear = (event: unknown) => void;

class Kept {
  readonly rows = new Map<string, Response>();
  private name(one: string | Request): string {
    return new URL(typeof one === "string" ? one : one.url, HERE).href;
  }
  match = async (one: string | Request) => this.rows.get(this.name(one))?.clone();
  put = async (one: string | Request, answer: Response) => {
    this.rows.set(this.name(one), answer);
  };
  keys = async () => [...this.rows.keys()].map((one) => new Request(one));
  delete = async (one: string | Request) => this.rows.delete(this.name(one));
}

let heard: Record<string, Hear>;
let stores: Map<string, Kept>;
let network: (request: Request) => Promise<Response>;

beforeEach(async () => {
  vi.resetModules();
  heard = {};
  stores = new Map();
  const open = async (name: string) => {
    const found = stores.get(name) ?? new Kept();
    stores.set(name, found);
    return found;
  };
  vi.stubGlobal("__SHELL__", []);
  vi.stubGlobal("__VERSION__", "1");
  vi.stubGlobal("caches", {
    open,
    delete: async (name: string) => stores.delete(name),
    keys: async () => [...stores.keys()],
  });
  vi.stubGlobal("self", {
    location: { origin: HERE },
    clients: {
      get: async () => ({ url: `${HERE}/border`, type: "window" }),
      claim: async () => undefined,
    },
    skipWaiting: async () => undefined,
    addEventListener: (type: string, hear: Hear) => {
      heard[type] = hear;
    },
  });
  vi.stubGlobal("fetch", (one: Request) => network(one));
  await import("./sw");
});

/** Ask through the worker; the answer, and when all of its work is done. */
function ask(path: string, method = "GET") {
  const work: Promise<unknown>[] = [];
  let answer: Promise<Response> | undefined;
  heard.fetch?.({
    request: new Request(`${HERE}${path}`, { method }),
    clientId: "page",
    waitUntil: (one: Promise<unknown>) => work.push(one),
    respondWith: (one: Promise<Response>) => {
      answer = one;
      work.push(one);
    },
  });
  const done = async () => {
    let known = -1;
    while (known !== work.length) {
      known = work.length;
      await Promise.allSettled(work);
    }
  };
  return { answer: answer ?? network(new Request(`${HERE}${path}`, { method })), done };
}

const json = (value: unknown) => Response.json(value);
const session = (account: number) => json({ access: "account", account });
const kept = () =>
  [...stores.values()]
    .flatMap((one) => [...one.rows.keys()])
    .filter((one) => one.includes("/api/checks"));

async function all(path: string, method = "GET"): Promise<unknown> {
  const { answer, done } = ask(path, method);
  await done();
  return (await answer).json().catch(() => null);
}

describe("a change of hands", () => {
  it("keeps and shows without a signal, and forgets at log-out", async () => {
    network = async (one) => (one.url.endsWith("/api/session") ? session(1) : json("theirs"));
    await all("/api/session");
    await all("/api/checks");
    expect(kept()).toHaveLength(1);
    network = async () => Promise.reject(new TypeError("no signal"));
    expect(await all("/api/checks")).toBe("theirs");
    network = async () => new Response(null, { status: 204 });
    await all("/api/session", "DELETE");
    expect(kept()).toHaveLength(0);
  });

  it("does not keep what was on its way when it happened", async () => {
    let come: (answer: Response) => void = () => undefined;
    network = (one) =>
      one.method === "GET"
        ? new Promise((resolve) => {
            come = resolve;
          })
        : Promise.resolve(new Response(null, { status: 204 }));
    const late = ask("/api/checks");
    await all("/api/session", "DELETE");
    come(json("theirs"));
    await late.done();
    expect(kept()).toHaveLength(0);
  });

  it("does not keep what is asked before the server knows of it", async () => {
    let ended: (answer: Response) => void = () => undefined;
    network = (one) =>
      one.method === "DELETE"
        ? new Promise((resolve) => {
            ended = resolve;
          })
        : Promise.resolve(json("theirs"));
    const leaving = ask("/api/session", "DELETE");
    await all("/api/checks"); // still under the session that is being ended
    ended(new Response(null, { status: 204 }));
    await leaving.done();
    expect(kept()).toHaveLength(0);
  });

  it("forgets when a log-in comes back from another house", async () => {
    network = async () => json("theirs");
    await all("/api/checks");
    expect(kept()).toHaveLength(1);
    await all("/api/oidc/city/callback?code=1");
    expect(kept()).toHaveLength(0);
  });

  it("lets go of what another account heard before its name was known", async () => {
    network = async (one) => (one.url.endsWith("/api/session") ? session(1) : json("theirs"));
    await all("/api/session");
    await all("/api/checks");
    network = async (one) => (one.url.endsWith("/api/session") ? session(2) : json("mine"));
    await all("/api/session");
    expect(kept()).toHaveLength(0);
  });
});
