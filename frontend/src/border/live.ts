/**
 * What happens now. The browser comes back by itself with the last number it was given; where it gives up
 * (a refusal, a proxy) a new stream is opened with `last`. A stream can die without a word: every half
 * minute what there is since is asked for, too, and a stream that missed it is opened anew.
 */
import { type Accessor, createSignal, onCleanup } from "solid-js";

export type Topic = "run" | "zone" | "check" | "device" | "alarm" | "alert" | "task" | "presence";

export interface LiveEvent {
  id: number;
  topic: Topic;
  /** When it was told, ISO. */
  at: string;
  data: Record<string, unknown>;
}

export interface Live {
  connected: Accessor<boolean>;
  /** When the stream was lost; undefined: it is there. */
  lostAt: Accessor<Date | undefined>;
}

const WATCH_MS = 30_000;
const PAUSES = [1000, 2000, 5000, 10_000];

/** Numbers of the events in the text of an answer that is no stream. */
export function newestOf(text: string): number {
  const all = [...text.matchAll(/^id: (\d{1,18})$/gm)].map((one) => Number(one[1]));
  return Math.max(0, ...all);
}

/** Hear topics while the component lives; `onBack`: the stream is there again, anything may have changed. */
export function createLive(
  topics: readonly Topic[],
  onEvent: (event: LiveEvent) => void,
  onBack: () => void,
): Live {
  const [connected, setConnected] = createSignal(false);
  const [lostAt, setLostAt] = createSignal<Date>();
  const address = `/api/live?topics=${topics.join(",")}`;
  let last = 0;
  let source: EventSource | undefined;
  let again: ReturnType<typeof setTimeout> | undefined;
  let tries = 0;
  let begun = false;

  const lost = () => {
    if (lostAt() === undefined) setLostAt(new Date());
    setConnected(false);
  };
  const open = () => {
    clearTimeout(again);
    source?.close();
    const one = new EventSource(last > 0 ? `${address}&last=${last}` : address);
    source = one;
    one.addEventListener("hello", (event) => {
      last = Math.max(last, Number(event.lastEventId));
      tries = 0;
      setConnected(true);
      setLostAt(undefined);
      if (begun) onBack();
      begun = true;
    });
    for (const topic of topics) {
      one.addEventListener(topic, (event: MessageEvent<string>) => {
        const id = Number(event.lastEventId);
        if (id <= last) return;
        last = id;
        const { at, ...data } = JSON.parse(event.data) as { at: string };
        onEvent({ id, topic, at, data });
      });
    }
    one.onerror = () => {
      lost();
      if (one.readyState !== EventSource.CLOSED) return;
      again = setTimeout(open, PAUSES[Math.min(tries++, PAUSES.length - 1)]);
    };
  };
  const look = async () => {
    if (!connected() || last === 0) return;
    try {
      const answer = await fetch(`${address}&last=${last}`, { cache: "no-store" });
      if (!answer.ok) return;
      const newest = newestOf(await answer.text());
      // an event on its way has a moment to come
      if (newest > last) setTimeout(() => newest > last && open(), 2000);
    } catch {
      lost();
      open();
    }
  };
  const back = () => {
    if (document.visibilityState === "visible" && !connected()) open();
  };
  open();
  const watch = setInterval(look, WATCH_MS);
  addEventListener("online", open);
  addEventListener("offline", lost);
  document.addEventListener("visibilitychange", back);
  onCleanup(() => {
    clearInterval(watch);
    clearTimeout(again);
    removeEventListener("online", open);
    removeEventListener("offline", lost);
    document.removeEventListener("visibilitychange", back);
    source?.close();
  });
  return { connected, lostAt };
}
