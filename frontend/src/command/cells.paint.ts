/**
 * Colours of the cells on the screen. Values travel in chunks; only those in view are asked for, and all
 * of them are painted at once, so a map never shows two periods side by side.
 */
import type { MapLibreMap } from "maplibre-gl";
import { addresses, api, type CellQuestion, type Failure, isAbort, request } from "../api/client";
import type { CellChunk, CellInfo } from "../api/models";
import { decode, type Values } from "../api/values";
import { CELLS, cellSourceOf, resolutionAt } from "./cells.layer";

const KEPT = 600;
const kept = new Map<string, Values>();

async function fetchChunk(
  question: CellQuestion,
  chunk: CellChunk,
  signal: AbortSignal,
): Promise<Values> {
  const address = addresses.cellValues(question, chunk.chunk);
  const known = kept.get(address);
  if (known) return known;
  const values = decode(await (await request(address, signal)).arrayBuffer(), chunk.count);
  kept.set(address, values);
  if (kept.size > KEPT) kept.delete(kept.keys().next().value as string);
  return values;
}

/** Chunks that reach into a view, west south east north. */
export function inView(
  chunks: readonly CellChunk[],
  view: readonly [number, number, number, number],
): CellChunk[] {
  const [west, south, east, north] = view;
  return chunks.filter(
    ({ bounds: [w, s, e, n] }) => w <= east && e >= west && s <= north && n >= south,
  );
}

export type CellTask = Omit<CellQuestion, "res"> & { cells: readonly CellInfo[] };

interface Painted {
  key: string;
  first: number;
  values: Values;
}

export class CellPainter {
  private task: CellTask | null = null;
  private controller = new AbortController();
  /** What is on the map, by resolution and chunk. */
  private painted = new Map<string, Painted>();

  constructor(
    private readonly map: MapLibreMap,
    private readonly onDone: (key: string) => void,
    private readonly onResolution: (res: number | null) => void,
    private readonly onFailure: (failure: Failure | undefined) => void,
  ) {
    map.on("moveend", this.refresh);
    map.on("zoom", this.look);
  }

  /** Show something else; null: no cells. */
  show(task: CellTask | null): void {
    this.task = task;
    if (!task) {
      this.controller.abort();
      // with its source a map forgets its feature states
      this.painted.clear();
    }
    this.look();
    this.refresh();
  }

  stop(): void {
    this.controller.abort();
    this.map.off("moveend", this.refresh);
    this.map.off("zoom", this.look);
  }

  /** Class and relative risk of a cell by feature id; zeros while they are not known. */
  at(res: number, id: number): { colour: number; theta: number } {
    for (const [name, one] of this.painted) {
      const place = id - one.first;
      if (name.startsWith(`${res}/`) && place >= 0 && place < one.values.colour.length) {
        return {
          colour: one.values.colour[place] as number,
          theta: one.values.theta[place] as number,
        };
      }
    }
    return { colour: 0, theta: 0 };
  }

  private info(): CellInfo | null {
    return this.task ? resolutionAt(this.task.cells, this.map.getZoom()) : null;
  }

  private look = (): void => {
    this.onResolution(this.info()?.res ?? null);
  };

  private refresh = (): void => {
    this.controller.abort();
    this.controller = new AbortController();
    const task = this.task;
    const info = this.info();
    if (!task) return;
    const key = cellKey(task);
    if (!info) {
      this.onDone(key);
      return;
    }
    this.load(task, info, this.controller.signal).then(
      () => {
        this.onFailure(undefined);
        this.onDone(key);
      },
      (error: unknown) => {
        if (!isAbort(error)) this.onFailure(error as Failure);
      },
    );
  };

  private async load(task: CellTask, info: CellInfo, signal: AbortSignal): Promise<void> {
    const { cells: _cells, ...rest } = task;
    const question = { ...rest, res: info.res };
    const chunks = await api.cellChunks(task.run, info.res, signal);
    const box = this.map.getBounds();
    const wanted = inView(chunks, [box.getWest(), box.getSouth(), box.getEast(), box.getNorth()]);
    const values = await Promise.all(wanted.map((one) => fetchChunk(question, one, signal)));
    if (signal.aborted) throw new DOMException("superseded", "AbortError");
    const key = cellKey(task);
    const now = new Set(wanted.map((one) => `${info.res}/${one.chunk}`));
    for (const [name, one] of this.painted) {
      if (now.has(name) || one.key === key) continue;
      // out of sight and of another time: it must not be seen when the map is moved there
      const source = cellSourceOf(Number(name.split("/")[0]));
      for (let i = 0; i < one.values.colour.length; i++) {
        this.map.removeFeatureState({ source, sourceLayer: CELLS, id: one.first + i }, "c");
      }
      this.painted.delete(name);
    }
    wanted.forEach((chunk, index) => {
      this.paint(`${info.res}/${chunk.chunk}`, info.res, {
        key,
        first: chunk.first_id,
        values: values[index] as Values,
      });
    });
  }

  private paint(name: string, res: number, next: Painted): void {
    const before = this.painted.get(name)?.values.colour;
    const source = cellSourceOf(res);
    const { colour } = next.values;
    for (let i = 0; i < colour.length; i++) {
      const c = colour[i] as number;
      if (before?.[i] === c) continue;
      this.map.setFeatureState({ source, sourceLayer: CELLS, id: next.first + i }, { c });
    }
    this.painted.set(name, next);
  }
}

/** What a map of cells shows, whatever its resolution. */
export function cellKey(task: Pick<CellTask, "run" | "kind" | "period" | "ord">): string {
  return `cells/${task.run}/${task.kind}/${task.period}/${task.ord}`;
}
