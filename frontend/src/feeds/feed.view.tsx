/** One feed: what is wrong and what to do, its facts, arrivals, and what could not be used. */
import { ChevronLeft } from "lucide";
import { For, type JSX, Match, Show, Switch } from "solid-js";
import { count, percent } from "../charts/numbers";
import { Icon } from "../command/icon";
import { Failed } from "../command/states.view";
import { moment } from "../state/times";
import { type Diagnosis, type Feed, type Letter, rowText, share } from "./health";
import { useFeeds } from "./model";
import { Spark, StateMark } from "./parts.view";

export function FeedView(props: { feed: Feed }) {
  const feeds = useFeeds();
  const { say, view } = feeds;
  return (
    <article class="feed">
      <header class="feed-head">
        <button
          type="button"
          class="icon-button feed-back"
          title={say().back}
          aria-label={say().back}
          onClick={() => view.go({ feed: 0 })}
        >
          <Icon node={ChevronLeft} size={28} />
        </button>
        <div>
          <h2 tabindex="-1">{props.feed.title || props.feed.name}</h2>
          <p class="quiet">
            {props.feed.name} · {say().adapters[props.feed.adapter]}
            <Show when={props.feed.simulated}>
              {" "}
              <span class="badge">{say().simulated}</span>
            </Show>
          </p>
        </div>
        <StateMark state={props.feed.state} />
      </header>
      <div class="feed-scroll">
        <Wrong feed={props.feed} />
        <Arrivals feed={props.feed} />
        <Facts feed={props.feed} />
        <Show when={feeds.manages()}>
          <Dead feed={props.feed} />
        </Show>
      </div>
    </article>
  );
}

/** Sentences: what is wrong, and what to do about it. Nothing where nothing is. */
function Wrong(props: { feed: Feed }) {
  const feeds = useFeeds();
  const { say } = feeds;
  const name = () => props.feed.title || props.feed.name;
  const gone = () => feeds.span(props.feed.since_s ?? 0);
  return (
    <div class="feed-wrong" data-testid="wrong">
      <Switch>
        <Match when={props.feed.state === "stopped" && props.feed.since_s === null}>
          <p class="sentence">{say().stoppedNever(name())}</p>
        </Match>
        <Match when={props.feed.state === "stopped"}>
          <p class="sentence">{say().stopped(name(), gone())}</p>
        </Match>
        <Match when={props.feed.state === "late"}>
          <p class="sentence">{say().late(name(), gone())}</p>
        </Match>
        <Match when={props.feed.state === "failing"}>
          <p class="sentence">
            {say().failing(name())}
            <Show when={props.feed.failures > 1}>· {say().looks(count(props.feed.failures))}</Show>
          </p>
        </Match>
      </Switch>
      <Show when={props.feed.error}>{(error) => <p class="feed-error">{error()}</p>}</Show>
      <Show when={props.feed.diagnosis}>{(found) => <Points found={found()} />}</Show>
    </div>
  );
}

function Points(props: { found: Diagnosis }) {
  const { say } = useFeeds();
  const wrong = () => percent(props.found.share);
  const then = () => percent(props.found.reading_share);
  const points = () => count(props.found.points);
  const reading = () => props.found.reading;
  const named = () => say().crs[reading() ?? ""] ?? "";
  const words = (): [string, string] => {
    if (reading() === null) return [say().unexplained(wrong(), points()), say().checkCodes];
    if (reading() === "swapped")
      return [say().looksSwapped(wrong(), points(), then()), say().exchange];
    return [say().looksLike(named(), wrong(), points(), then()), say().declare(reading() ?? "")];
  };
  return (
    <div data-testid="diagnosis" data-reading={reading() ?? "none"}>
      <p class="sentence">{words()[0]}</p>
      <Show when={props.found.reading_share !== null}>
        <div class="shares" aria-hidden="true">
          <i style={{ width: `${Math.max(0.5, props.found.share * 100)}%` }} />
          <i style={{ width: `${Math.max(0.5, (props.found.reading_share ?? 0) * 100)}%` }} />
        </div>
      </Show>
      <p>{words()[1]}</p>
    </div>
  );
}

function Arrivals(props: { feed: Feed }) {
  const { say } = useFeeds();
  const sum = (of: "rows" | "rejected") =>
    count(props.feed.days.reduce((total, one) => total + one[of], 0));
  const day = (at: number) => props.feed.days.at(at)?.day.slice(5) ?? "";
  return (
    <section class="feed-part">
      <h3>{say().columns.arrivals}</h3>
      <Spark feed={props.feed} height={64} />
      <p class="feed-axis note" aria-hidden="true">
        <span>{day(0)}</span>
        <span>{day(-1)}</span>
      </p>
      <p>{say().chart(sum("rows"), sum("rejected"))}</p>
    </section>
  );
}

function Facts(props: { feed: Feed }) {
  const feeds = useFeeds();
  const { say, frame } = feeds;
  const when = (iso: string | null) =>
    iso === null ? "—" : moment(iso, frame.map().time_zone, new Date());
  const one = () => props.feed;
  return (
    <section class="feed-part">
      <h3>{say().facts}</h3>
      <dl class="feed-facts">
        <Fact name={say().arrived}>
          {one().since_s === null
            ? say().never
            : `${when(one().last_arrival)} · ${say().ago(feeds.span(one().since_s ?? 0))}`}
        </Fact>
        <Show when={one().last_origin}>
          {(origin) => <Fact name={say().origin}>{<code>{origin()}</code>}</Fact>}
        </Show>
        <Fact name={say().interval}>
          {one().expected_s === null
            ? say().noInterval
            : say().expected(feeds.span(one().expected_s ?? 0), one().learnt)}
        </Fact>
        <Fact name={say().lag}>
          {one().lag_s === null ? "—" : feeds.span(Math.max(0, one().lag_s ?? 0))}
        </Fact>
        <Show when={one().adapter !== "push"}>
          <Fact name={say().looked}>{when(one().looked_at)}</Fact>
        </Show>
        <Fact name={say().crsDeclared}>{say().crs[one().crs] ?? one().crs}</Fact>
        <Fact name={say().within}>{one().code || say().whole}</Fact>
        <Fact name={say().week}>
          {say().weekText(count(one().rows), count(one().new), count(one().updated))}
        </Fact>
        <Fact name={say().columns.rejected}>
          {share(one().rejected, one().rows)}
          <For each={Object.entries(one().reasons)}>
            {([reason, n]) => (
              <span class="reason">
                <code>{reason}</code> {count(n)}
              </span>
            )}
          </For>
        </Fact>
        <Fact name={say().columns.mismatch}>
          {share(one().mismatch, one().compared)}
          <Show when={one().mismatch > 0 && one().compared >= 20}>
            <span class="quiet">
              {" "}
              {count(one().mismatch)} / {count(one().compared)}
            </span>
          </Show>
        </Fact>
      </dl>
    </section>
  );
}

function Fact(props: { name: string; children: JSX.Element }) {
  return (
    <div>
      <dt>{props.name}</dt>
      <dd>{props.children}</dd>
    </div>
  );
}

function Dead(props: { feed: Feed }) {
  const feeds = useFeeds();
  const { say } = feeds;
  return (
    <section class="feed-part feed-dead" data-testid="dead">
      <header>
        <h3>{say().deadTitle(count(props.feed.dead))}</h3>
        <Show when={props.feed.dead > 0}>
          <button
            type="button"
            class="button button-primary"
            disabled={feeds.busy()}
            onClick={() => void feeds.replay()}
          >
            {feeds.busy() ? say().replaying : say().replay}
          </button>
        </Show>
      </header>
      <Show when={feeds.done()}>
        <p class="feed-done">{feeds.done()}</p>
      </Show>
      <Show when={feeds.wrong()}>
        <p class="feed-error" role="alert">
          {feeds.wrong()}
        </p>
      </Show>
      <Show when={props.feed.dead > 0} fallback={<p class="quiet">{say().deadEmptyText}</p>}>
        <p class="quiet">{say().deadHint}</p>
        <Failed answer={feeds.letters} what={say().failedDead} />
        <ul class="letters">
          <For each={feeds.shown()}>{(one) => <LetterRow letter={one} />}</For>
        </ul>
        <Show when={feeds.letters.data()?.next}>
          <button type="button" class="button" onClick={feeds.older}>
            {say().more}
          </button>
        </Show>
      </Show>
    </section>
  );
}

function LetterRow(props: { letter: Letter }) {
  const { say, frame } = useFeeds();
  const where = () =>
    `${props.letter.origin} · ${props.letter.place} · ${moment(props.letter.at, frame.map().time_zone, new Date())}`;
  return (
    <li>
      <p>
        <code class="reason">{props.letter.reason}</code>{" "}
        <Show when={props.letter.field}>
          <b>{props.letter.field}</b>
        </Show>{" "}
        <Show when={props.letter.value}>
          <span class="letter-value">{props.letter.value}</span>
        </Show>{" "}
        {props.letter.said}
      </p>
      <p class="letter-row">
        {props.letter.row === null ? say().unkept : rowText(props.letter.row)}
      </p>
      <p class="note">{where()}</p>
    </li>
  );
}
