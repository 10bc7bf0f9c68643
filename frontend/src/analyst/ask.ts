/**
 * What the analyst's page shares: the areas and the question of the link, what the hand is doing, and the
 * answers. One object per page.
 */
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
import {
  type AnalysisAnswer,
  type AreaAnswer,
  type AreaQuestion,
  analysis,
  bodyOf,
  type ShapeInfo,
} from "../api/analysis";
import { type Answer, createAnswer } from "../api/answer";
import { Failure } from "../api/client";
import type { LevelInfo } from "../api/models";
import type { Frame } from "../command/frame";
import type { Guide, Tool } from "../draw/drawer";
import { encodeShape } from "../draw/encode";
import { type Area, outlineOf, type Ring, type Shape } from "../draw/shapes";
import { levelsBelow, scopeIndex } from "../state/levels";
import type { View } from "../state/view";
import { presetSpan, type Span, yearBefore } from "./days";
import { createLatest, type Latest } from "./latest";
import type { AnalystState } from "./state";
import { type AnalystWords, analystWords } from "./words";

/** What the pointer does on the map. */
export type Hand = Tool | "move" | "units";

export interface Moving {
  shape: Shape;
  guides: Guide[];
}

export interface Ask {
  frame: Frame;
  view: View<AnalystState>;
  say: Accessor<AnalystWords>;
  hand: Accessor<Hand>;
  setHand: (hand: Hand) => void;
  /** Corners of a drawing under way; 0: none. */
  corners: Accessor<number>;
  setCorners: (corners: number) => void;
  moving: Accessor<Moving | null>;
  setMoving: (moving: Moving | null) => void;
  snapping: Accessor<boolean>;
  setSnapping: (on: boolean) => void;
  /** Half the width of a new corridor, metres. */
  width: Accessor<number>;
  setWidth: (metres: number) => void;
  active: Accessor<Area | undefined>;
  span: Accessor<Span>;
  /** Kind the sentence, the hours and the map speak of; `overall`: all that are asked for. */
  focus: Accessor<string>;
  level: Accessor<LevelInfo>;
  levels: Accessor<LevelInfo[]>;
  setZoom: (zoom: number) => void;
  question: Accessor<AreaQuestion | null>;
  /** Whether the full answer is asked about the question as it is now. */
  current: Accessor<boolean>;
  live: Latest<AreaAnswer>;
  analysis: Answer<AnalysisAnswer>;
  /** Months and hours of the kind in focus. */
  detail: Answer<AnalysisAnswer>;
  lastYear: Answer<AnalysisAnswer>;
  lastYearDetail: Answer<AnalysisAnswer>;
  shapes: Answer<(ShapeInfo | Failure)[]>;
  /** Outlines of an area: the server's, or ours until they are there. */
  outlines: (index: number) => Ring[][];
  put: (areas: Area[], active: number) => void;
  undo: () => void;
  redo: () => void;
  canUndo: Accessor<boolean>;
  canRedo: Accessor<boolean>;
  /** Undo a corner of the drawing under way, else a whole shape; the map lends its hand for it. */
  stepBack: () => void;
  stepForward: () => void;
  lend: (drawer: { undo: () => boolean; redo: () => boolean } | null) => void;
  remove: (index: number) => void;
  /** Bring every area into view. */
  look: () => void;
  setLook: (look: () => void) => void;
  /** Put another area, or the same span a year before, beside the answer; or take it away. */
  compare: () => void;
  /** Category of emerging cells shown alone; empty: all. */
  category: Accessor<string>;
  setCategory: (category: string) => void;
  savedTurn: Accessor<number>;
  savedChanged: () => void;
  /** Grows while the job of the link is worked on. */
  jobTurn: Accessor<number>;
  jobChanged: () => void;
}

const Context = createContext<Ask>();
export const AskProvider = Context.Provider;

export function useAsk(): Ask {
  const ask = useContext(Context);
  if (!ask) throw new Error("useAsk outside of its provider");
  return ask;
}

/** A question is asked in full this long after the shape came to rest, ms. */
const REST_MS = 120;
const KEPT = 60;
const keptShapes = new Map<string, ShapeInfo>();

async function shapeInfo(
  pack: string,
  shape: Shape,
  signal: AbortSignal,
): Promise<ShapeInfo | Failure> {
  const key = `${pack} ${encodeShape(shape)}`;
  const known = keptShapes.get(key);
  if (known) return known;
  try {
    const info = await analysis.shape(pack, bodyOf(shape), signal);
    keptShapes.set(key, info);
    if (keptShapes.size > KEPT) keptShapes.delete(keptShapes.keys().next().value as string);
    return info;
  } catch (error) {
    // a bad shape among good ones: the others stay
    if (error instanceof Failure && error.status !== 0) return error;
    throw error;
  }
}

/** Side of a unit that can still be read, CSS px. */
const READABLE_PX = 34;

/** The finest level whose units have this side on the screen at a zoom, were they all alike. */
export function readable(
  levels: readonly LevelInfo[],
  [west, south, east, north]: readonly [number, number, number, number],
  zoom: number,
): LevelInfo {
  const px = 512 * 2 ** (Math.floor(zoom * 2) / 2);
  const height = ((north - south) / 360) * px * 1.15;
  const width = ((east - west) / 360) * px;
  const sides = levels.map((one) => Math.sqrt((width * height * 0.6) / Math.max(1, one.count)));
  const last = sides.findLastIndex((side) => side >= READABLE_PX);
  return levels[Math.max(0, last)] as LevelInfo;
}

export function createAsk(frame: Frame, view: View<AnalystState>): Ask {
  const { state } = view;
  const { map } = frame;
  const say = createMemo(() => analystWords(state.lang));
  const [hand, setHand] = createSignal<Hand>("move");
  const [corners, setCorners] = createSignal(0);
  const [moving, setMoving] = createSignal<Moving | null>(null);
  const [snapping, setSnapping] = createSignal(true);
  const [width, setWidth] = createSignal(200);

  const active = createMemo(() => state.areas[state.active]);
  const span = createMemo(
    (): Span =>
      state.from && state.to
        ? { from: state.from, to: state.to }
        : presetSpan("twelve", map().periods.month),
    undefined,
    { equals: (a, b) => a.from === b.from && a.to === b.to },
  );
  const focus = createMemo(() =>
    map().kinds.some((one) => one.id === state.kind) &&
    (state.kinds.length === 0 || state.kinds.includes(state.kind))
      ? state.kind
      : "overall",
  );
  const [zoom, setZoom] = createSignal(9);
  const levels = createMemo(() => levelsBelow(map(), scopeIndex(map(), undefined)));
  /** The level of the link; else the finest whose units are large enough on the screen to be read. */
  const level = createMemo((): LevelInfo => {
    const wanted = levels().find((one) => one.id === state.level);
    return wanted ?? readable(levels(), map().bounds, zoom());
  });

  // ---- questions
  const narrowed = createMemo(() => ({
    ...(state.kinds.length > 0 ? { kinds: [...state.kinds] } : {}),
    ...(state.hours.length > 0 ? { hours_of_week: [...state.hours] } : {}),
    ...(state.by.length > 0 ? { located_by: [...state.by] } : {}),
    ...(state.weights ? { weights: state.weights } : {}),
  }));
  const base = (shape: Shape): AreaQuestion => ({
    area: bodyOf(shape),
    start: span().from,
    end: span().to,
    ...narrowed(),
  });
  const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);
  const question = createMemo(
    () => {
      const area = active();
      return area ? base(area.shape) : null;
    },
    undefined,
    { equals: same },
  );
  /** The shape in the hand, else the one that rests. Units and ways of locating are only in the full answer. */
  const liveQuestion = createMemo(
    () => {
      const shape = moving()?.shape ?? active()?.shape;
      if (!shape || shape.kind === "units" || state.by.length > 0) return null;
      const { located_by: _none, weights: _how, ...rest } = base(shape);
      return { ...rest, breakdowns: ["kind"] };
    },
    undefined,
    { equals: same },
  );
  const live = createLatest(
    () => {
      const asked = liveQuestion();
      return asked && { pack: map().pack, asked };
    },
    ({ pack, asked }, signal) => analysis.count(pack, asked, signal),
  );

  const [rested, setRested] = createSignal<AreaQuestion | null>(null);
  createEffect(
    on([question, moving], ([asked, hand]) => {
      if (hand) return;
      if (asked === null || rested() === null) {
        setRested(asked);
        return;
      }
      const timer = setTimeout(() => setRested(asked), REST_MS);
      onCleanup(() => clearTimeout(timer));
    }),
  );
  const answer = createAnswer(
    () => {
      const asked = rested();
      return (
        asked && {
          pack: map().pack,
          asked: {
            ...asked,
            parts: ["kinds", "change", "children", "comparisons", "cells", "month", "hour_of_week"],
          },
        }
      );
    },
    ({ pack, asked }, signal) => analysis.analyse(pack, asked, signal),
  );
  const detail = createAnswer(
    () => {
      const asked = rested();
      if (!asked || focus() === "overall") return null;
      return {
        pack: map().pack,
        asked: { ...asked, kinds: [focus()], parts: ["change", "month", "hour_of_week"] },
      };
    },
    ({ pack, asked }, signal) => analysis.analyse(pack, asked, signal),
  );
  const before = (kinds: object, parts: string[]) => {
    const asked = rested();
    if (!asked) return null;
    const earlier = yearBefore(span());
    return {
      pack: map().pack,
      asked: { ...asked, ...kinds, start: earlier.from, end: earlier.to, parts },
    };
  };
  const lastYear = createAnswer(
    () => before({}, ["month"]),
    ({ pack, asked }, signal) => analysis.analyse(pack, asked, signal, 2),
  );
  const lastYearDetail = createAnswer(
    () => (focus() === "overall" ? null : before({ kinds: [focus()] }, ["month"])),
    ({ pack, asked }, signal) => analysis.analyse(pack, asked, signal, 2),
  );

  const shapes = createAnswer(
    () =>
      state.areas.length === 0
        ? null
        : { pack: map().pack, areas: state.areas.map((one) => one.shape) },
    ({ pack, areas }, signal) => Promise.all(areas.map((one) => shapeInfo(pack, one, signal))),
  );
  const outlines = (index: number): Ring[][] => {
    const area = state.areas[index];
    if (!area) return [];
    const info = shapes.fresh()
      ? shapes.data()?.[index]
      : keptShapes.get(`${map().pack} ${encodeShape(area.shape)}`);
    if (info && !(info instanceof Failure)) return info.geojson.coordinates as Ring[][];
    return outlineOf(area.shape);
  };

  // ---- history: whole lists of areas, which are small
  const [past, setPast] = createSignal<{ areas: Area[]; active: number }[]>([]);
  const [future, setFuture] = createSignal<{ areas: Area[]; active: number }[]>([]);
  const now = () => ({ areas: plain(state.areas), active: state.active });
  const put = (areas: Area[], index: number) => {
    setPast([...past().slice(-99), now()]);
    setFuture([]);
    view.go({ areas, active: index, ...(stillThere(state.vs, areas.length) ? {} : { vs: "" }) });
  };
  const undo = () => {
    const before = past().at(-1);
    if (!before) return;
    setFuture([...future(), now()]);
    setPast(past().slice(0, -1));
    view.go(before);
  };
  const redo = () => {
    const next = future().at(-1);
    if (!next) return;
    setPast([...past(), now()]);
    setFuture(future().slice(0, -1));
    view.go(next);
  };

  const [savedTurn, setSavedTurn] = createSignal(0);
  const [jobTurn, setJobTurn] = createSignal(0);
  const [category, setCategory] = createSignal("");
  let look = () => {};
  const compare = () => {
    if (state.vs !== "") {
      view.go({ vs: "" });
      return;
    }
    const other = state.areas.findIndex((_, index) => index !== state.active);
    const before = yearBefore(span());
    view.go({ vs: other >= 0 ? `a${other}` : `${before.from}_${before.to}`, tab: "answer" });
  };
  let lent: { undo: () => boolean; redo: () => boolean } | null = null;
  const remove = (index: number) => {
    const areas = plain(state.areas).filter((_, at) => at !== index);
    put(areas, Math.max(0, Math.min(state.active, areas.length - 1)));
  };

  return {
    stepBack: () => {
      if (!lent?.undo()) undo();
    },
    stepForward: () => {
      if (!lent?.redo()) redo();
    },
    lend: (drawer) => {
      lent = drawer;
    },
    remove,
    look: () => look(),
    setLook: (how) => {
      look = how;
    },
    compare,
    category,
    setCategory,
    savedTurn,
    savedChanged: () => setSavedTurn((n) => n + 1),
    jobTurn,
    jobChanged: () => setJobTurn((n) => n + 1),
    frame,
    view,
    say,
    hand,
    setHand,
    corners,
    setCorners,
    moving,
    setMoving,
    snapping,
    setSnapping,
    width,
    setWidth,
    active,
    span,
    focus,
    level,
    levels,
    setZoom,
    question,
    current: () => rested() === question(),
    live,
    analysis: answer,
    detail,
    lastYear,
    lastYearDetail,
    shapes,
    outlines,
    put,
    undo,
    redo,
    canUndo: () => past().length > 0,
    canRedo: () => future().length > 0,
  };
}

function stillThere(vs: string, areas: number): boolean {
  return !/^a\d/.test(vs) || Number(vs.slice(1)) < areas;
}

/** A copy without the store's watchers. */
export function plain<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T;
}

/** A, B, C … of an area by its place. */
export function letter(index: number): string {
  return String.fromCharCode(65 + (index % 26));
}
