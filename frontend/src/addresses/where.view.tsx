/** Where the places in question lie: numbered discs on the map, the chosen unit outlined. */
import { createMemo, createSignal, ErrorBoundary, For, Match, Show, Switch } from "solid-js";
import { createAnswer } from "../api/answer";
import { api } from "../api/client";
import type { UnitDetail } from "../api/models";
import { type MapHandle, MapView } from "../command/map.view";
import { createBig } from "../state/narrow";
import { newest } from "../state/periods";
import { type Box, boxAround, levelAt, zoomOf } from "./frame";
import { useReview } from "./model";

interface Spot {
  n: number;
  code: string;
  unit: UnitDetail;
}

export default function Where() {
  const review = useReview();
  const big = createBig();
  const { frame, view, say } = review;
  const [lost, setLost] = createSignal(false);
  const [handle, setHandle] = createSignal<MapHandle>();
  const [moved, setMoved] = createSignal(0);
  let box: HTMLDivElement | undefined;
  /** Units asked for: of the choices that are not shared by others, and of a place chosen elsewhere. */
  const wanted = createMemo(
    () => {
      const some = review
        .choices()
        .flatMap((one, index) =>
          one.unit && !(one.shared && review.choices().length > 1)
            ? [{ n: index + 1, code: one.code, unit: one.unit }]
            : [],
        );
      const other = review.elsewhere();
      return other ? [...some, { n: 0, code: other.code, unit: other.code }] : some;
    },
    undefined,
    { equals: (a, b) => JSON.stringify(a) === JSON.stringify(b) },
  );
  const spots = createAnswer(
    () => (wanted().length > 0 ? wanted() : null),
    async (asked, signal): Promise<Spot[]> => {
      const { pack, boundary_version: version } = frame.map();
      return Promise.all(
        asked.map(async ({ n, code, unit }) => ({
          n,
          code,
          unit: await api.unit(pack, version, unit, signal),
        })),
      );
    },
  );
  const shown = () => spots.data() ?? [];
  const target = () => shown().find((one) => one.code === review.chosen());
  // the map stays while the next text is looked up
  const around = createMemo<Box | null>(
    (before) => boxAround(shown().map((one) => one.unit.bounds as unknown as Box)) ?? before,
    null,
    { equals: (a, b) => JSON.stringify(a) === JSON.stringify(b) },
  );
  const level = () => {
    const at = around();
    if (!at) return undefined;
    const wantedLevel = (target() ?? shown()[0])?.unit.level ?? "";
    return levelAt(frame.map().levels, wantedLevel, zoomOf(at, box?.clientWidth ?? 600));
  };
  const question = createMemo(() => ({
    run: frame.map().run,
    level: level()?.id ?? "",
    kind: frame.map().kinds[0]?.id ?? "overall",
    period: "month" as const,
    ord: newest(frame.map().periods.month),
  }));
  const discs = () => {
    moved();
    const one = handle();
    if (!one) return [];
    return shown().map((spot) => ({ ...spot, at: one.project(spot.unit.label_point) }));
  };
  return (
    <div class="address-map" ref={box}>
      <ErrorBoundary fallback={<p class="map-none">{say().mapAway}</p>}>
        <Switch>
          <Match when={spots.failure() || lost()}>
            <p class="map-none">{say().mapAway}</p>
          </Match>
          <Match when={around() && level() && question().level !== ""}>
            <MapView
              info={frame.map()}
              theme={frame.theme()}
              level={level() as never}
              scope=""
              scopeIndex={-1}
              pattern={view.state.pattern}
              scale={big()}
              labels
              lang={view.state.lang}
              interactive={false}
              question={question()}
              selected={
                target()
                  ? { id: target()?.unit.id as number, level: target()?.unit.level ?? "" }
                  : null
              }
              frame={around() as Box}
              camera={null}
              padding={{ top: 24 * big(), right: 24 * big(), bottom: 24 * big(), left: 24 * big() }}
              label={say().mapOf}
              onReady={(one) => {
                setHandle(one);
                one.map.on("move", () => setMoved((n) => n + 1));
              }}
              onIdle={() => setMoved((n) => n + 1)}
              onFailure={(failed) => setLost(failed !== undefined)}
            />
            <div class="discs" aria-hidden="true">
              <For each={discs()}>
                {(one) => (
                  <span
                    class="disc"
                    classList={{ on: one.code === review.chosen() }}
                    style={{ left: `${one.at.x}px`, top: `${one.at.y}px` }}
                  >
                    {one.n || "+"}
                  </span>
                )}
              </For>
            </div>
          </Match>
        </Switch>
        <Show when={shown().length > 0}>
          <p class="map-badges">
            <Show when={frame.map().approximate}>
              <span class="badge">{frame.words().approximate}</span>
            </Show>
          </p>
        </Show>
      </ErrorBoundary>
    </div>
  );
}
