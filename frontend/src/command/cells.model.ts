/** Cells as the command view shows them: whether, at which resolution, their counts, the selected one. */
import { type Accessor, createMemo, createSignal } from "solid-js";
import { type Answer, createAnswer } from "../api/answer";
import { addresses, api, type Question } from "../api/client";
import type { CellCounts, CellInfo, CellWhy, MapInfo, Series } from "../api/models";
import type { ViewState } from "../state/hash";

export interface CellModel {
  /** Cells shown in place of units; empty: units. */
  shown: Accessor<readonly CellInfo[]>;
  /** Resolution on the screen; null while units are shown, or from too far away. */
  info: Accessor<CellInfo | null>;
  setResolution: (res: number | null) => void;
  counts: Answer<CellCounts>;
  why: Answer<CellWhy>;
  series: Answer<Series>;
}

const NONE: readonly CellInfo[] = [];

/** Resolution written into an H3 index. */
export function resolutionOf(cell: string): number {
  return Number.parseInt(cell.slice(1, 2), 16);
}

export function createCells(
  state: ViewState,
  map: Accessor<MapInfo>,
  question: Accessor<Question>,
  ready: Accessor<boolean>,
  wall: boolean,
): CellModel {
  const [resolution, setResolution] = createSignal<number | null>(null);
  const shown = createMemo(() => (state.cells && !wall ? map().cells : NONE));
  const info = createMemo(() => shown().find((one) => one.res === resolution()) ?? null);
  const counts = createAnswer(
    () => {
      const one = info();
      if (!one || !ready()) return null;
      const { run, kind, period, ord, within } = question();
      return { question: { run, res: one.res, kind, period, ord }, within };
    },
    (asked, signal) => api.cellCounts(asked.question, asked.within, signal),
  );
  const cell = () => (shown().length > 0 ? state.cell : "");
  const why = createAnswer(() => {
    const { run, kind, period, ord } = question();
    return cell() === "" ? null : addresses.cellWhy(run, cell(), kind, period, ord);
  }, api.cellWhy);
  const series = createAnswer(() => {
    const { run, kind, period } = question();
    return cell() === "" ? null : addresses.cellSeries(run, cell(), kind, period);
  }, api.series);
  return { shown, info, setResolution, counts, why, series };
}
