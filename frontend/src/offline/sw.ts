/**
 * The service worker of all pages: one file at `/sw.js`, built by `build.ts`. Pages and their files come
 * from the network first and from the cache without it; answers and tiles (`rules.ts`) likewise, marked
 * with the time they were heard. Nothing is ever sent from here: what is to be sent waits in `queue.ts`.
 *
 * What is kept belongs to one account: logging in or out, another account or an ended session empties it,
 * and what was asked for before that is not kept after it.
 */
import {
  changesHands,
  isAway,
  isYoung,
  KEPT,
  MOST,
  PATIENCE,
  pageOf,
  type Way,
  wayOf,
} from "./rules";

declare const __SHELL__: readonly string[];
declare const __VERSION__: string;

interface Lasting extends Event {
  waitUntil: (work: Promise<unknown>) => void;
}
interface Asked extends Lasting {
  readonly request: Request;
  readonly clientId: string;
  respondWith: (answer: Promise<Response>) => void;
}
interface Told extends Lasting {
  readonly data: unknown;
}
interface Client {
  readonly url: string;
  readonly type: string;
}
const worker = self as unknown as {
  skipWaiting: () => Promise<void>;
  clients: {
    claim: () => Promise<void>;
    get: (id: string) => Promise<Client | undefined>;
    matchAll: (of: { type: "window" }) => Promise<readonly Client[]>;
  };
  location: Location;
  addEventListener: ((type: "install" | "activate", hear: (event: Lasting) => void) => void) &
    ((type: "fetch", hear: (event: Asked) => void) => void) &
    ((type: "message", hear: (event: Told) => void) => void);
};

const SHELL = `wusetu-shell-${__VERSION__}`;
const OWN = { answer: "wusetu-answers", tile: "wusetu-tiles" } as const;
const OWNER = "/.owner";
const origin = worker.location.origin;

worker.addEventListener("install", (event) => {
  const all = __SHELL__.map(
    (one) => new Request(one, one.startsWith("/assets/") ? {} : { cache: "no-cache" }),
  );
  event.waitUntil(
    caches
      .open(SHELL)
      .then((cache) => cache.addAll(all))
      .then(() => worker.skipWaiting()),
  );
});

worker.addEventListener("activate", (event) => {
  // the shell before this one stays: a page that is open may still ask for a part of it
  const tidy = async () => {
    const shells = (await caches.keys()).filter((one) => one.startsWith("wusetu-shell-"));
    const old = shells.filter((one) => one !== SHELL).slice(0, -1);
    await Promise.all(old.map((one) => caches.delete(one)));
    await worker.clients.claim();
  };
  event.waitUntil(tidy());
});

worker.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (url.origin === origin && changesHands(request.method, url.pathname)) {
    event.waitUntil(forget());
    // until the server has answered, pages still ask under the session before
    if (request.mode !== "navigate") {
      const said = fetch(request);
      event.respondWith(said);
      event.waitUntil(said.then(forget, forget));
    }
    return;
  }
  const way = wayOf(request.method, request.url, origin, request.mode === "navigate");
  if (way === null) return;
  if (way === "asset") event.respondWith(asset(request));
  else if (way === "page") event.respondWith(page(request, url));
  else event.respondWith(answer(event, way));
});

worker.addEventListener("message", (event) => {
  const { keep } = (event.data ?? {}) as { keep?: unknown };
  if (Array.isArray(keep)) event.waitUntil(keepAll(keep.map(String)));
});

/** Files with their content in their name are never out of date. */
async function asset(request: Request): Promise<Response> {
  return (await caches.match(request, { ignoreVary: true })) ?? fetch(request);
}

async function page(request: Request, url: URL): Promise<Response> {
  const file = pageOf(url.pathname) ?? "";
  const known = await (await caches.open(SHELL)).match(file);
  if (!known) return fetch(request);
  const found = await timed(fetch(request), PATIENCE.page);
  return found && !isAway(found.status) ? found : known;
}

async function answer(event: Asked, way: "answer" | "tile"): Promise<Response> {
  const { request } = event;
  const under = hands;
  const asked = fetch(request);
  // other pages do not say how old an answer is: they get none but the server's
  const asks = await worker.clients.get(event.clientId);
  if (asks && !(await saysAge(asks))) return asked;
  // what comes too late is kept all the same
  event.waitUntil(
    asked.then((found) => heard(way, request.url, found.clone(), under)).catch(() => undefined),
  );
  const known = await (await caches.open(OWN[way])).match(request.url, { ignoreVary: true });
  if (!known || !isYoung(known.headers.get(KEPT), Date.now())) return asked;
  const found = await timed(asked, PATIENCE[way]);
  return found && !isAway(found.status) ? found : known;
}

const isKeptPage = (one: Client) => pageOf(new URL(one.url).pathname) !== null;

/** Whether who asks says how old an answer is. A map's thread has no page in its address: any open one counts. */
async function saysAge(one: Client): Promise<boolean> {
  if (one.type === "window") return isKeptPage(one);
  return (await worker.clients.matchAll({ type: "window" })).some(isKeptPage);
}

async function timed(asked: Promise<Response>, patience: number): Promise<Response | null> {
  let clock: ReturnType<typeof setTimeout> | undefined;
  const over = new Promise<null>((resolve) => {
    clock = setTimeout(() => resolve(null), patience);
  });
  try {
    return await Promise.race([asked, over]);
  } catch {
    return null;
  } finally {
    clearTimeout(clock);
  }
}

/** Counts changes of hands; a worker that has begun anew has nothing on its way. */
let hands = 0;

/**
 * Keep a good answer that was asked for `under` the present hands (its body is used up here); let go of
 * everything when the session is over or another's.
 */
async function heard(
  way: "answer" | "tile",
  address: string,
  found: Response,
  under: number,
): Promise<void> {
  if (under !== hands) return;
  if (found.status === 401) await forget();
  if (!found.ok) return;
  let now = under;
  if (way === "answer" && new URL(address).pathname === "/api/session") {
    now = await belongsTo(found.clone(), under);
  }
  const headers = new Headers(found.headers);
  headers.delete("content-encoding");
  headers.delete("content-length");
  headers.set(KEPT, new Date().toISOString());
  const body = found.status === 204 ? null : await found.arrayBuffer();
  const cache = await caches.open(OWN[way]);
  // a cache let go of after this takes with it what is put in now
  if (now !== hands) return;
  await cache.put(address, new Response(body, { status: found.status, headers }));
  await trim(cache, MOST[way]);
}

let puts = 0;
async function trim(cache: Cache, most: number): Promise<void> {
  puts += 1;
  if (puts % 40 !== 0) return;
  const keys = await cache.keys();
  await Promise.all(keys.slice(0, Math.max(0, keys.length - most)).map((one) => cache.delete(one)));
}

/** Let go of another account's; the hands everything is in now. */
async function belongsTo(session: Response, under: number): Promise<number> {
  const { access, account } = (await session.json()) as { access?: string; account?: number };
  const owner = `${access} ${account}`;
  const before = await (await caches.open(OWN.answer)).match(OWNER);
  const another = before !== undefined && (await before.text()) !== owner;
  if (under !== hands) return under;
  if (another) await forget();
  const now = another ? under + 1 : under;
  const cache = await caches.open(OWN.answer);
  if (now === hands) await cache.put(OWNER, new Response(owner));
  return now;
}

async function forget(): Promise<void> {
  hands += 1;
  await Promise.all(Object.values(OWN).map((one) => caches.delete(one)));
}

/** Ask for what a page already has from before there was a worker. */
async function keepAll(addresses: readonly string[]): Promise<void> {
  const under = hands;
  for (const one of addresses) {
    const way: Way | null = wayOf("GET", one, origin);
    if (way !== "answer" && way !== "tile") continue;
    const address = new URL(one, origin).href;
    try {
      await heard(way, address, await fetch(address), under);
    } catch {
      return; // without a signal there is nothing to keep
    }
  }
}
