/** The feeds at the left, worst first; the open one with its dead letters at the right. */
import { createMemo, For, Match, Show, Switch } from "solid-js";
import { count } from "../charts/numbers";
import { Badges, Bar } from "../command/bar.view";
import { StaleStrip } from "../command/stale.view";
import { Empty, Failed, Skeleton } from "../command/states.view";
import { FeedView } from "./feed.view";
import { type Feed, share, troubled } from "./health";
import { useFeeds } from "./model";
import { Spark, StateMark } from "./parts.view";

export function Page(props: { lost: boolean }) {
  const feeds = useFeeds();
  const { say } = feeds;
  let main: HTMLElement | undefined;
  const nothing = () => feeds.list.data() !== undefined && feeds.feeds().length === 0;
  return (
    <div class="feeds" data-open={feeds.feed() !== undefined}>
      <button type="button" class="skip" onClick={() => main?.focus()}>
        {say().skip}
      </button>
      <Bar current="feeds" end={<Badges approximate={false} />} />
      <StaleStrip lost={props.lost} />
      <Switch>
        <Match when={feeds.barred()}>
          <main class="feeds-alone" tabindex="-1" ref={main}>
            <Empty title={say().forbidden}>
              <p>{say().forbiddenText}</p>
            </Empty>
          </main>
        </Match>
        <Match when={feeds.list.failure() && !feeds.list.data()}>
          <main class="feeds-alone" tabindex="-1" ref={main}>
            <Failed answer={feeds.list} what={say().failedFeeds} />
          </main>
        </Match>
        <Match when={nothing()}>
          <main class="feeds-alone" tabindex="-1" ref={main}>
            <NoFeeds />
          </main>
        </Match>
        <Match when={true}>
          <List />
          <main class="feed-main" tabindex="-1" ref={main} aria-label={say().page}>
            <Show
              when={feeds.feed()}
              fallback={
                <Show when={feeds.feeds().length > 0 && !feeds.narrow()}>
                  <div class="state">
                    <h3>{feeds.view.state.feed > 0 ? say().gone : say().pick}</h3>
                    <p>{say().pickText}</p>
                  </div>
                </Show>
              }
            >
              {(one) => <FeedView feed={one()} />}
            </Show>
          </main>
        </Match>
      </Switch>
      <p class="hidden" role="status" aria-live="polite">
        {feeds.done()}
      </p>
    </div>
  );
}

/** What to do where nothing comes by itself yet. */
function NoFeeds() {
  const { say, frame } = useFeeds();
  const pack = () => frame.map().pack;
  return (
    <Empty title={say().empty}>
      <p>{say().emptyText}</p>
      <pre class="feeds-command">
        {`wusetu feeds add alarms folder --pack ${pack()} \\\n  --mapping alarms.yaml --set folder=/srv/alarms`}
      </pre>
      <p>{say().emptyThen}</p>
      <pre class="feeds-command">wusetu feeds watch</pre>
    </Empty>
  );
}

function List() {
  const feeds = useFeeds();
  const { say } = feeds;
  const wrong = () => troubled(feeds.feeds()).length;
  // a row stays the same element when the answer is renewed: the focus stays where it is
  const ids = createMemo(() => feeds.feeds().map((one) => one.id));
  return (
    <section class="feed-side" aria-label={say().list}>
      <header>
        <h1>{say().page}</h1>
        <Show when={feeds.feeds().length > 0}>
          <p>
            <Show when={wrong() > 0} fallback={say().headlineFine(count(feeds.feeds().length))}>
              <b>{say().headline(count(wrong()), count(feeds.feeds().length))}</b>
            </Show>
          </p>
        </Show>
      </header>
      <Show when={feeds.list.data()} fallback={<Skeleton rows={feeds.list.slow() ? 8 : 0} />}>
        <ul class="feed-list">
          <For each={ids()}>
            {(id) => (
              <Show when={feeds.feeds().find((one) => one.id === id)}>
                {(one) => <Row feed={one()} />}
              </Show>
            )}
          </For>
        </ul>
      </Show>
    </section>
  );
}

function Row(props: { feed: Feed }) {
  const feeds = useFeeds();
  const { say } = feeds;
  const last = () =>
    props.feed.since_s === null ? say().never : say().ago(feeds.span(props.feed.since_s));
  return (
    <li>
      <button
        type="button"
        class="feed-row"
        data-state={props.feed.state}
        aria-current={feeds.feed()?.id === props.feed.id ? "true" : undefined}
        onClick={() => feeds.open(props.feed.id)}
      >
        <span class="feed-row-head">
          <b>{props.feed.title || props.feed.name}</b>
          <StateMark state={props.feed.state} />
        </span>
        <span class="feed-row-about">
          {props.feed.title ? `${props.feed.name} · ` : ""}
          {say().adapters[props.feed.adapter]} · {last()}
        </span>
        <span class="feed-row-numbers">
          <Spark feed={props.feed} />
          <span>
            <small>{say().columns.rejected}</small>
            {share(props.feed.rejected, props.feed.rows)}
          </span>
          <span data-wrong={props.feed.diagnosis !== null}>
            <small>{say().columns.mismatch}</small>
            {share(props.feed.mismatch, props.feed.compared)}
          </span>
          <span>
            <small>{say().columns.dead}</small>
            {count(props.feed.dead)}
          </span>
        </span>
      </button>
    </li>
  );
}
