/** What the page of feeds knows and does; views read it and nothing else. */
import {
  type Accessor,
  createContext,
  createEffect,
  createMemo,
  createSignal,
  on,
  onCleanup,
  useContext,
} from "solid-js";
import { type Answer, createAnswer } from "../api/answer";
import { Failure, request, send } from "../api/client";
import { count } from "../charts/numbers";
import type { Frame } from "../command/frame";
import { may, session } from "../command/me";
import { createNarrow } from "../state/narrow";
import type { View } from "../state/view";
import {
  dated,
  type Feed,
  type FeedList,
  type Letter,
  type Letters,
  ordered,
  type Replay,
  span,
} from "./health";
import type { FeedsState } from "./state";
import { type FeedWords, feedWords } from "./words";

const REFRESH_MS = 30_000;

export interface Feeds {
  frame: Frame;
  view: View<FeedsState>;
  say: Accessor<FeedWords>;
  list: Answer<FeedList>;
  feeds: Accessor<readonly Feed[]>;
  /** The feed that is open. */
  feed: Accessor<Feed | undefined>;
  open: (id: number) => void;
  /** Whether one may see dead letters and replay them. */
  manages: Accessor<boolean>;
  barred: Accessor<boolean>;
  letters: Answer<Letters>;
  shown: Accessor<readonly Letter[]>;
  older: () => void;
  busy: Accessor<boolean>;
  replay: () => Promise<void>;
  /** What was done last, said aloud. */
  done: Accessor<string>;
  wrong: Accessor<string>;
  narrow: Accessor<boolean>;
  span: (seconds: number) => string;
}

const Context = createContext<Feeds>();
export const FeedsProvider = Context.Provider;

export function useFeeds(): Feeds {
  const feeds = useContext(Context);
  if (!feeds) throw new Error("useFeeds outside of its provider");
  return feeds;
}

export function createFeeds(frame: Frame, view: View<FeedsState>): Feeds {
  const say = createMemo(() => feedWords(view.state.lang));
  const barred = () => session() !== undefined && !may("feed:read");
  const [turn, setTurn] = createSignal(0);
  const again = () => setTurn((n) => n + 1);
  const timer = setInterval(again, REFRESH_MS);
  onCleanup(() => clearInterval(timer));
  const list = createAnswer(
    () => (barred() ? null : { pack: frame.map().pack, turn: turn() }),
    async ({ pack }, signal) => {
      const search = new URLSearchParams({ pack });
      return (await (await request(`/api/feeds?${search}`, signal)).json()) as FeedList;
    },
  );
  const feeds = createMemo(() => {
    const answer = list.data();
    return answer ? ordered(dated(answer)) : [];
  });

  const narrow = createNarrow();

  const feed = createMemo(() => {
    const named = feeds().find((one) => one.id === view.state.feed);
    // a desk always has one open, a phone shows the list first
    return named ?? (narrow() || view.state.feed > 0 ? undefined : feeds()[0]);
  });
  const manages = () => may("feed:manage");
  const [before, setBefore] = createSignal<number | null>(null);
  const [pages, setPages] = createSignal<readonly Letter[]>([]);
  const [done, setDone] = createSignal("");
  const [wrong, setWrong] = createSignal("");
  const [busy, setBusy] = createSignal(false);
  const number = createMemo(() => feed()?.id);
  createEffect(
    on(number, () => {
      setBefore(null);
      setPages([]);
      setDone("");
      setWrong("");
    }),
  );
  const [replays, setReplays] = createSignal(0);
  const dead = createMemo(() => feed()?.dead ?? 0);
  const letters = createAnswer(
    () => {
      const id = number();
      if (id === undefined || !manages() || dead() === 0) return null;
      return { id, before: before(), replays: replays(), dead: dead() };
    },
    async (asked, signal) => {
      const search = new URLSearchParams({ limit: "50" });
      if (asked.before !== null) search.set("before", String(asked.before));
      const answer = await request(`/api/feeds/${asked.id}/dead?${search}`, signal);
      return (await answer.json()) as Letters;
    },
  );
  const shown = createMemo(() => {
    const known = new Set(pages().map((one) => one.id));
    return [...pages(), ...(letters.data()?.letters ?? []).filter((one) => !known.has(one.id))];
  });
  return {
    frame,
    view,
    say,
    list,
    feeds,
    feed,
    open: (id) => view.go({ feed: id }, narrow() ? "push" : "replace"),
    manages,
    barred,
    letters,
    shown,
    older: () => {
      const next = letters.data()?.next;
      if (!next) return;
      setPages(shown());
      setBefore(next);
    },
    busy,
    replay: async () => {
      const one = feed();
      if (!one || busy()) return;
      setBusy(true);
      setWrong("");
      setDone("");
      try {
        const answer = await send("POST", `/api/feeds/${one.id}/replay`);
        const found = (await answer.json()) as Replay;
        const of = [found.stored, found.superseded, found.failed, found.unkept].map(count);
        setDone(say().replayed(of[0] ?? "", of[1] ?? "", of[2] ?? "", of[3] ?? ""));
        setBefore(null);
        setPages([]);
        setReplays((n) => n + 1);
        again();
      } catch (error) {
        setWrong(error instanceof Failure ? error.message : String(error));
      } finally {
        setBusy(false);
      }
    },
    done,
    wrong,
    narrow,
    span: (seconds) => span(seconds, say()),
  };
}
