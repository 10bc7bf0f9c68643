/** What the page of addresses knows and does; views read it and nothing else. */
import {
  type Accessor,
  createContext,
  createEffect,
  createMemo,
  createSignal,
  on,
  useContext,
} from "solid-js";
import { type Answer, createAnswer } from "../api/answer";
import { Failure, request, send } from "../api/client";
import type { Frame } from "../command/frame";
import { createNarrow } from "../state/narrow";
import type { View } from "../state/view";
import {
  type AddressAnswer,
  type AddressAnswers,
  type Choice,
  choicesOf,
  decisionOf,
  nextOf,
  type ReviewItem,
  type ReviewQueue,
} from "./choices";
import type { AddressState } from "./state";
import { type AddressWords, addressWords } from "./words";

/** Most texts of the queue shown at once. */
export const MOST = 200;

export interface Elsewhere {
  code: string;
  name: string;
}

export interface Review {
  frame: Frame;
  view: View<AddressState>;
  say: Accessor<AddressWords>;
  queue: Answer<ReviewQueue>;
  items: Accessor<readonly ReviewItem[]>;
  /** The text that is open. */
  item: Accessor<ReviewItem | undefined>;
  open: (id: number) => void;
  answer: Answer<AddressAnswer>;
  choices: Accessor<readonly Choice[]>;
  /** Code that is chosen; empty: none. */
  chosen: Accessor<string>;
  choose: (code: string) => void;
  elsewhere: Accessor<Elsewhere | null>;
  setElsewhere: (one: Elsewhere | null) => void;
  /** A name to learn with the decision; null: none. */
  alias: Accessor<string | null>;
  setAlias: (name: string | null) => void;
  place: Accessor<string>;
  setPlace: (name: string) => void;
  busy: Accessor<boolean>;
  /** What was done last, said aloud. */
  done: Accessor<string>;
  /** Why the last decision was not taken. */
  wrong: Accessor<string>;
  settle: () => Promise<void>;
  dismiss: () => Promise<void>;
  narrow: Accessor<boolean>;
}

const Context = createContext<Review>();
export const ReviewProvider = Context.Provider;

export function useReview(): Review {
  const review = useContext(Context);
  if (!review) throw new Error("useReview outside of its provider");
  return review;
}

export function createReview(frame: Frame, view: View<AddressState>): Review {
  const say = createMemo(() => addressWords(view.state.lang));
  const pack = () => frame.map().pack;
  const [turn, setTurn] = createSignal(0);
  const queue = createAnswer(
    () => ({ pack: pack(), state: view.state.part, turn: turn() }),
    async ({ pack, state }, signal) => {
      const search = new URLSearchParams({ pack, state, limit: String(MOST) });
      const found = await request(`/api/addresses/review?${search}`, signal);
      return (await found.json()) as ReviewQueue;
    },
  );
  // what was decided here is gone at once; the next answer of the server says so, too
  const [gone, setGone] = createSignal<readonly number[]>([]);
  const items = createMemo(() =>
    (queue.data()?.items ?? []).filter(
      (one) => one.state === view.state.part && (one.state !== "open" || !gone().includes(one.id)),
    ),
  );

  const narrow = createNarrow();
  // the same text told again is the same one: what is written beside it stays
  const same = { equals: (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b) };
  const item = createMemo(
    () => {
      const named = items().find((one) => one.id === view.state.item);
      // a desk always has one open, a phone shows the list first
      return named ?? (narrow() || view.state.item > 0 ? undefined : items()[0]);
    },
    undefined,
    same,
  );
  const answer = createAnswer(
    () => {
      const one = item();
      return one?.state === "open" ? { pack: pack(), text: one.text, turn: turn() } : null;
    },
    async ({ pack, text }, signal) => {
      const body = { pack, addresses: [text] };
      const found = await send("POST", "/api/addresses/resolve", body, signal);
      return ((await found.json()) as AddressAnswers).answers[0] as AddressAnswer;
    },
  );
  const choices = createMemo(() => {
    const one = item();
    const now = answer.data();
    return one ? choicesOf(one, answer.fresh() ? now : undefined) : [];
  });

  const [picked, setPicked] = createSignal<string | null>(null);
  const [elsewhere, setElsewhere] = createSignal<Elsewhere | null>(null);
  const [alias, setAlias] = createSignal<string | null>(null);
  const [place, setPlace] = createSignal("");
  const [busy, setBusy] = createSignal(false);
  const [done, setDone] = createSignal("", { equals: false });
  const [wrong, setWrong] = createSignal("");
  createEffect(
    on(
      () => item()?.id,
      () => {
        setPicked(null);
        setElsewhere(null);
        setAlias(null);
        setPlace("");
        setWrong("");
      },
    ),
  );
  // nothing is chosen beforehand where several fit equally well
  const chosen = createMemo(() => {
    const own = picked();
    if (own !== null) return own;
    const first = choices()[0];
    return first && first.confidence !== null ? first.code : "";
  });

  const decide = async (body: unknown, said: string) => {
    const one = item();
    if (one?.state !== "open" || busy()) return;
    setBusy(true);
    setWrong("");
    try {
      await send("POST", `/api/addresses/review/${one.id}`, body);
      const next = narrow() ? 0 : nextOf(items(), one.id);
      setGone((known) => [...known, one.id]);
      view.go({ item: next }, "replace");
      setDone(said);
      setTurn((n) => n + 1);
    } catch (error) {
      setWrong(whyNot(error, say()));
      if (error instanceof Failure && error.status === 409) setTurn((n) => n + 1);
    } finally {
      setBusy(false);
    }
  };
  const nameOf = (code: string) => {
    const other = elsewhere();
    if (other?.code === code) return other.name;
    return choices().find((one) => one.code === code)?.name ?? code;
  };
  return {
    frame,
    view,
    say,
    queue,
    items,
    item,
    open: (id) => view.go({ item: id }, narrow() ? "push" : "replace"),
    answer,
    choices,
    chosen,
    choose: setPicked,
    elsewhere,
    setElsewhere: (one) => {
      setElsewhere(one);
      if (one) setPicked(one.code);
    },
    alias,
    setAlias,
    place,
    setPlace,
    busy,
    done,
    wrong,
    settle: async () => {
      const one = item();
      const code = chosen();
      if (!one || code === "") return;
      const name = alias()?.trim() ?? "";
      const said =
        say().doneSettled(one.text, nameOf(code)) + (name === "" ? "" : say().doneLearnt(name));
      await decide(decisionOf(code, name, place()), said);
    },
    dismiss: async () => {
      const one = item();
      if (one) await decide({}, say().doneDismissed(one.text));
    },
    narrow,
  };
}

/** Why a decision was not taken, in words. */
function whyNot(error: unknown, say: AddressWords): string {
  if (!(error instanceof Failure)) return String(error);
  if (error.status === 409) return say.conflict;
  const field = (error.detail as { field?: string } | null)?.field;
  return field === "alias" ? say.personName : error.message;
}
