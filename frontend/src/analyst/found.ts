/** The result of the link's job on the map: cells and clusters as lines, surfaces as a picture in greys. */
import { createEffect, createMemo, on, onCleanup } from "solid-js";
import { createAnswer } from "../api/answer";
import { type DensityResult, type ForecastResult, isOpen, jobs } from "../api/jobs";
import type { Ask } from "./ask";
import { drawnShapes } from "./outline";
import type { Overlay } from "./overlay";

/** Pause between questions about the link's job while it is worked on, ms. */
const LOOK_MS = 700;

export function layFound(ask: Ask, overlay: () => Overlay | undefined): void {
  const id = createMemo(() => Number(ask.view.state.job) || null);
  const job = createAnswer(
    () => {
      const one = id();
      return one === null ? null : { id: one, turn: ask.jobTurn() };
    },
    (asked, signal) => jobs.one(asked.id, signal),
  );
  createEffect(
    on(job.data, (one) => {
      if (!one || !isOpen(one)) return;
      const timer = setTimeout(ask.jobChanged, LOOK_MS);
      onCleanup(() => clearTimeout(timer));
    }),
  );
  const done = createMemo(
    () => {
      const one = job.data();
      return one && one.id === id() && one.state === "done" ? { id: one.id, type: one.type } : null;
    },
    undefined,
    { equals: (a, b) => a?.id === b?.id },
  );
  const shapes = createAnswer(
    () => {
      const one = done();
      return one && !["knox", "density"].includes(one.type) ? one : null;
    },
    async (one, signal) => ({ type: one.type, data: await jobs.shapes(one.id, signal) }),
  );
  const surface = createAnswer(
    () => (done()?.type === "density" ? done() : null),
    async (one, signal) => {
      const result = (await jobs.result(one?.id as number, signal)) as
        | DensityResult
        | ForecastResult;
      return (
        result.picture && {
          url: jobs.file(one?.id as number, "png"),
          bounds: result.picture.bounds,
        }
      );
    },
  );
  createEffect(() => {
    const found = id() ? shapes.data() : undefined;
    overlay()?.found(found ? drawnShapes(found.type, found.data, ask.category()) : null);
  });
  createEffect(() => {
    overlay()?.surface((id() && surface.data()) || null);
  });
}
