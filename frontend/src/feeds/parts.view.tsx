/** Small parts: the mark of a state, arrivals per day. Ink only: a hue is a class of risk. */
import { For } from "solid-js";
import { bars, type Feed, type FeedState } from "./health";
import { useFeeds } from "./model";

/** A shape and a word: full, half, square, crossed, hollow, two strokes. */
export function StateMark(props: { state: FeedState }) {
  const { say } = useFeeds();
  return (
    <span class="feed-state" data-state={props.state}>
      <svg viewBox="0 0 14 14" aria-hidden="true">
        <Shape state={props.state} />
      </svg>
      {say().states[props.state]}
    </span>
  );
}

function Shape(props: { state: FeedState }) {
  const shapes = {
    fine: () => <circle cx="7" cy="7" r="5" class="full" />,
    late: () => (
      <>
        <circle cx="7" cy="7" r="5" class="line" />
        <path d="M7 2a5 5 0 0 1 0 10z" class="full" />
      </>
    ),
    stopped: () => <rect x="2.5" y="2.5" width="9" height="9" class="full" />,
    failing: () => <path d="M2.5 2.5l9 9m0-9l-9 9" class="line thick" />,
    new: () => <circle cx="7" cy="7" r="5" class="line" />,
    paused: () => <path d="M4.5 2.5v9m5-9v9" class="line thick" />,
  };
  return <>{shapes[props.state]()}</>;
}

const WIDTH = 120;
const HEIGHT = 24;

/** Rows per day of thirty days; what was refused stands hollow on top. */
export function Spark(props: { feed: Feed; height?: number }) {
  const height = () => props.height ?? HEIGHT;
  const made = () => bars(props.feed.days, WIDTH, height());
  const wide = () => WIDTH / Math.max(1, props.feed.days.length) - 1;
  return (
    <svg
      class="feed-spark"
      viewBox={`0 0 ${WIDTH} ${height()}`}
      preserveAspectRatio="none"
      aria-hidden="true"
    >
      <line class="ground" x1="0" x2={WIDTH} y1={height() - 0.5} y2={height() - 0.5} />
      <For each={made()}>
        {(one) => (
          <>
            <rect class="used" x={one.x} y={height() - one.used} width={wide()} height={one.used} />
            <rect
              class="refused"
              x={one.x}
              y={height() - one.used - one.refused}
              width={wide()}
              height={one.refused}
            />
          </>
        )}
      </For>
    </svg>
  );
}
