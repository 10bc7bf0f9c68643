/** Small parts of the report: class chip, change with interval, sparkline. */
import { Match, Show, Switch } from "solid-js";
import { CLASSES, type Colour } from "../api/models";
import type { IndicatorChange, IndicatorInfo } from "../api/report";
import { RatioInterval } from "../charts/charts";
import { count, ratio } from "../charts/numbers";
import { useReport } from "./model";
import { changeKind, pointsText, ratioText, sparkline, turned } from "./numbers";

/** A class of the scene's palette: one of the five has the theme's own fill. */
export function ClassChip(props: { id: string | null }) {
  const report = useReport();
  const known = () => CLASSES.includes(props.id as Colour);
  const one = () => (props.id === null ? undefined : report.palette().get(props.id));
  return (
    <Show when={one()}>
      {(found) => (
        <span
          class={known() ? `chip chip-${props.id}` : "chip chip-own"}
          style={known() ? {} : { "--own": found().colour }}
        >
          {report.frame.title(found().name)}
        </span>
      )}
    </Show>
  );
}

/** ▲ ▼ where the interval says so, the ratio, its interval; "few events" where there are too few. */
export function ChangeCell(props: {
  change: IndicatorChange | null;
  info: IndicatorInfo | undefined;
  colour?: boolean;
}) {
  const report = useReport();
  const kind = () => changeKind(props.change, props.info);
  const way = () => (props.change ? turned(props.change, kind()) : 0);
  return (
    <span class="change-cell" data-kind={kind()}>
      <Show when={way() !== 0}>
        <span class="way" role="img" aria-label={way() > 0 ? report.say().up : report.say().down}>
          {way() > 0 ? "▲" : "▼"}
        </span>
      </Show>
      <Switch fallback={<span class="quiet">—</span>}>
        <Match when={kind() === "few"}>
          <span class="quiet">{report.say().few}</span>
        </Match>
        <Match when={kind() === "zero"}>
          <span>{report.say().fromZero}</span>
        </Match>
        <Match when={kind() === "points"}>
          <span>{pointsText(props.change?.difference ?? 0)}</span>
        </Match>
        <Match when={kind() === "plain"}>
          <span>{ratio(props.change?.ratio)}</span>
        </Match>
        <Match when={kind() === "ratio" && props.change}>
          {(change) => (
            <>
              <span>{ratioText(change(), report.view.state.lang)}</span>
              <RatioInterval ratio={change().ratio ?? 1} low={change().low} high={change().high} />
            </>
          )}
        </Match>
      </Switch>
    </span>
  );
}

const WIDTH = 96;
const HEIGHT = 24;

/** The last periods as a line; its end in the class of this one. */
export function Spark(props: { series: readonly (number | null)[]; class_: string | null }) {
  const made = () => sparkline(props.series, WIDTH, HEIGHT);
  const tone = () => (CLASSES.includes(props.class_ as Colour) ? `class-${props.class_}` : "");
  return (
    <svg class="spark" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} aria-hidden="true">
      <path d={made().path} />
      <Show when={made().end}>
        {(end) => <circle class={`dot ${tone()}`} cx={end()[0]} cy={end()[1]} r="3.2" />}
      </Show>
    </svg>
  );
}

/** A printed value with groups of three: the server rounds, the page only reads well. */
export function printedValue(printed: string): string {
  const [whole, part] = printed.split(".");
  if (!whole || !/^-?\d+$/.test(whole)) return printed;
  const grouped = count(Number(whole));
  return part === undefined ? grouped : `${grouped}.${part}`;
}
