/** Two areas, or one area in two spans, side by side: maps that move together, numbers on one axis. */
import type { MapLibreMap } from "maplibre-gl";
import { createEffect, createMemo, createSignal, For, onCleanup, Show } from "solid-js";
import { type AnalysisAnswer, analysis, bodyOf, type Risk } from "../api/analysis";
import { type Answer, createAnswer } from "../api/answer";
import { expectedCount, ratio } from "../charts/numbers";
import { Chip } from "../command/chip.view";
import { useFrame } from "../command/frame";
import { type MapHandle, MapView } from "../command/map.view";
import { boxOf, type Position } from "../draw/shapes";
import { scopeIndex } from "../state/levels";
import { createBig } from "../state/narrow";
import { clampOrd } from "../state/periods";
import { type Ask, letter, plain, useAsk } from "./ask";
import { AxisHead, axisOf, RiskInterval } from "./charts";
import { type Span, spanText } from "./days";
import { Overlay } from "./overlay";
import { seen } from "./seen";
import { spanOf } from "./state";

export interface Other {
  /** Index of the area. */
  area: number;
  span: Span;
}

/** What the answer is compared with; null: nothing. */
export function createOther(ask: Ask): () => Other | null {
  const { state } = ask.view;
  return createMemo(() => {
    if (state.vs === "" || !ask.active()) return null;
    const span = spanOf(state.vs);
    if (span) return { area: state.active, span };
    const area = Number(state.vs.slice(1));
    return state.areas[area] && area !== state.active ? { area, span: ask.span() } : null;
  });
}

export function createOtherAnswer(ask: Ask, other: () => Other | null): Answer<AnalysisAnswer> {
  return createAnswer(
    () => {
      const [one, asked] = [other(), ask.question()];
      const area = one && ask.view.state.areas[one.area];
      if (!one || !asked || !area) return null;
      return {
        pack: ask.frame.map().pack,
        asked: {
          ...asked,
          area: bodyOf(plain(area.shape)),
          start: one.span.from,
          end: one.span.to,
          parts: ["kinds"],
        },
      };
    },
    ({ pack, asked }, signal) => analysis.analyse(pack, asked, signal),
  );
}

/** The map beside the map. */
export function OtherMap(props: { other: Other; main: MapLibreMap | undefined }) {
  const ask = useAsk();
  const big = createBig();
  // of the screen the page was opened on: letters laid out anew while tiles come have failed in the library
  const scale = big();
  const { map, theme, words, title } = useFrame();
  const { state } = ask.view;
  const [handle, setHandle] = createSignal<MapHandle>();
  const [overlay, setOverlay] = createSignal<Overlay>();
  const ord = () => {
    const months = map().periods.month;
    const inside = months.findLastIndex((one) => one.start < props.other.span.to);
    return clampOrd(months, inside < 0 ? null : inside);
  };
  const parts = () => ask.outlines(props.other.area);
  createEffect(() => {
    const layer = overlay();
    if (!layer) return;
    layer.dress(theme());
    layer.areas([{ parts: parts(), active: true }]);
    layer.veil(parts());
  });
  /** From the one area to the other, degrees: both maps keep it between their centres. */
  const offset = createMemo((): Position => {
    const [a, b] = [boxOf(ask.outlines(state.active)), boxOf(parts())];
    if (!a || !b) return [0, 0];
    return [(b[0] + b[2] - a[0] - a[2]) / 2, (b[1] + b[3] - a[1] - a[3]) / 2];
  });
  createEffect(() => {
    const [left, right] = [props.main, handle()?.map];
    const [dx, dy] = offset();
    if (!left || !right) return;
    let following = false;
    const follow = (from: MapLibreMap, to: MapLibreMap, sign: number) => () => {
      if (following) return;
      following = true;
      const { lng, lat } = from.getCenter();
      to.jumpTo({ center: [lng + sign * dx, lat + sign * dy], zoom: from.getZoom() });
      following = false;
    };
    const rightwards = follow(left, right, 1);
    const leftwards = follow(right, left, -1);
    left.on("move", rightwards);
    right.on("move", leftwards);
    rightwards();
    onCleanup(() => {
      left.off("move", rightwards);
      right.off("move", leftwards);
    });
  });
  const ready = (one: MapHandle) => {
    setOverlay(new Overlay(one.map));
    setHandle(one);
  };
  return (
    <div class="map-pane other-map">
      <MapView
        info={map()}
        theme={theme()}
        level={ask.level()}
        scope=""
        scopeIndex={scopeIndex(map(), undefined)}
        pattern={state.pattern}
        scale={scale}
        labels
        lang={state.lang}
        interactive
        question={{
          run: map().run,
          level: ask.level().id,
          kind: ask.focus(),
          period: "month",
          ord: ord(),
        }}
        selected={null}
        frame={map().bounds}
        camera={null}
        padding={{ top: 20, right: 20, bottom: 20, left: 20 }}
        label={words().mapLabel(title(map().title), title(ask.level().title))}
        onReady={ready}
      />
      <p class="other-name">
        {otherName(ask, props.other)} · {map().periods.month[ord()]?.start.slice(0, 7)}
      </p>
    </div>
  );
}

function areaName(ask: Ask, index: number): string {
  return ask.view.state.areas[index]?.name || ask.say().area(letter(index));
}

function otherName(ask: Ask, other: Other): string {
  return other.area === ask.view.state.active ? spanText(other.span) : areaName(ask, other.area);
}

/** Both answers on one axis: filled dot here, ring there. */
export function CompareTable(props: { other: Other; answer: Answer<AnalysisAnswer> }) {
  const ask = useAsk();
  const say = ask.say;
  const { map, title } = useFrame();
  const here = () => ask.analysis.data();
  const there = () => props.answer.data();
  const rows = createMemo(() => {
    const [a, b] = [here(), there()];
    if (!a || !b) return [];
    const kinds = a.kinds.map((one) => ({
      name: kindName(one.kind),
      a: one as Risk,
      b: b.kinds.find((each) => each.kind === one.kind) as Risk | undefined,
    }));
    return [{ name: say().all, a: a.overall as Risk, b: b.overall as Risk | undefined }, ...kinds];
  });
  const kindName = (id: string) => {
    const found = map().kinds.find((one) => one.id === id);
    return found ? title(found.title) : id;
  };
  const axis = () => axisOf(rows().flatMap((row) => (row.b ? [row.a, row.b] : [row.a])));
  const choices = () => [
    ...ask.view.state.areas.flatMap((_, index) =>
      index === ask.view.state.active ? [] : [[`a${index}`, areaName(ask, index)] as const],
    ),
  ];
  const before = () => {
    const span = ask.span();
    const back = (day: string) => `${Number(day.slice(0, 4)) - 1}${day.slice(4)}`;
    return `${back(span.from)}_${back(span.to)}`.replaceAll("-02-29", "-02-28");
  };
  return (
    <section class="block compare" data-testid="compare">
      <h3>
        <span>
          {say().compareWith}{" "}
          <select
            aria-label={say().compareWith}
            value={ask.view.state.vs}
            onChange={(event) => ask.view.go({ vs: event.currentTarget.value })}
          >
            <For each={choices()}>{([value, name]) => <option value={value}>{name}</option>}</For>
            <option value={before()}>{say().versusLastYear}</option>
            <Show when={ask.view.state.vs.includes("_") && ask.view.state.vs !== before()}>
              <option value={ask.view.state.vs}>{otherName(ask, props.other)}</option>
            </Show>
          </select>
        </span>
        <span>{say().compareNote}</span>
      </h3>
      <Show when={there()}>
        <table class="kinds-table">
          <thead>
            <tr>
              <th scope="col">{say().kinds}</th>
              <th scope="col">
                <span class="hidden">{say().risk}</span>
              </th>
              <th scope="col" class="num">
                {say().observed}
              </th>
              <th scope="col" class="num">
                {say().expected}
              </th>
              <th scope="col" class="axis-cell">
                <AxisHead axis={axis()} />
              </th>
              <th scope="col" class="num">
                {say().risk}
              </th>
            </tr>
          </thead>
          <tbody>
            <For each={rows()}>
              {(row) => (
                <>
                  <CompareRow
                    name={row.name}
                    side={sideName(ask, props.other)}
                    risk={row.a}
                    axis={axis()}
                  />
                  <Show when={row.b}>
                    {(risk) => (
                      <CompareRow
                        name=""
                        side={otherName(ask, props.other)}
                        risk={risk()}
                        axis={axis()}
                        second
                      />
                    )}
                  </Show>
                </>
              )}
            </For>
          </tbody>
        </table>
      </Show>
    </section>
  );
}

function sideName(ask: Ask, other: Other): string {
  return other.area === ask.view.state.active
    ? spanText(ask.span())
    : areaName(ask, ask.view.state.active);
}

function CompareRow(props: {
  name: string;
  side: string;
  risk: Risk;
  axis: ReturnType<typeof axisOf>;
  second?: boolean;
}) {
  return (
    <tr classList={{ second: props.second ?? false }}>
      <th scope="row">
        <b>{props.name}</b> <small>{props.side}</small>
      </th>
      <td>
        <Chip colour={props.risk.colour} />
      </td>
      <td class="num">
        <b>{seen(props.risk.observed_text)}</b>
      </td>
      <td class="num quiet">{props.risk.suppressed ? "—" : expectedCount(props.risk.expected)}</td>
      <td class="axis-cell">
        <RiskInterval
          axis={props.axis}
          value={props.risk.relative_risk}
          low={props.risk.low}
          high={props.risk.high}
          colour={props.risk.colour}
        />
      </td>
      <td class="num">
        <b>{ratio(props.risk.relative_risk)}</b>
      </td>
    </tr>
  );
}
