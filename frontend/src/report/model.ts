/**
 * What the report page shares: the link, the answers of the server, and what follows from both. One object
 * per page; no hidden state.
 */
import { type Accessor, createContext, createMemo, useContext } from "solid-js";
import { type Answer, createAnswer } from "../api/answer";
import { api } from "../api/client";
import type { UnitBrief, UnitDetail } from "../api/models";
import {
  type AlertList,
  type Calendar,
  type CalendarPeriod,
  get,
  type IndicatorInfo,
  type IndicatorRun,
  type IndicatorValue,
  type IndicatorValues,
  type League,
  type PaletteInfo,
  type ReportQuestion,
  reportAddresses,
  type SceneDetail,
  type SceneList,
} from "../api/report";
import type { Frame } from "../command/frame";
import type { View } from "../state/view";
import { sameDay, shownOrd } from "./numbers";
import { CALENDARS, type ReportState } from "./state";
import { type ReportWords, reportWords } from "./words";

export const TOTAL = "total";
/** The scene shown where a map has several. */
const USUAL = "safety-report";

export interface Report {
  frame: Frame;
  view: View<ReportState>;
  say: Accessor<ReportWords>;
  scenes: Answer<SceneList>;
  /** Name of the scene; empty: the map has none with indicators. */
  sceneName: Accessor<string>;
  detail: Answer<SceneDetail>;
  run: Accessor<IndicatorRun | undefined>;
  calendars: Accessor<Calendar[]>;
  by: Accessor<Calendar>;
  periods: Accessor<CalendarPeriod[]>;
  ord: Accessor<number>;
  period: Accessor<CalendarPeriod | undefined>;
  /** The unit looked at; undefined: the coarsest one there is. */
  unit: Accessor<UnitDetail | undefined>;
  unitAnswer: Answer<UnitDetail>;
  cardLevel: Accessor<string>;
  values: Answer<IndicatorValues>;
  /** Values of the unit by indicator. */
  rows: Accessor<Map<string, IndicatorValue>>;
  /** Name of the unit the card is about. */
  cardName: Accessor<string>;
  infos: Accessor<Map<string, IndicatorInfo>>;
  palette: Accessor<Map<string, PaletteInfo>>;
  leagueLevel: Accessor<string>;
  leagueScope: Accessor<string>;
  league: Answer<League>;
  /** Name of what is ranked. */
  rankedName: Accessor<string>;
  ranked: Accessor<string>;
  alerts: Answer<AlertList>;
  setBy: (by: Calendar) => void;
  goTo: (ord: number) => void;
  setLevel: (level: string) => void;
  drill: (code: string) => void;
}

const Context = createContext<Report>();
export const ReportProvider = Context.Provider;

export function useReport(): Report {
  const report = useContext(Context);
  if (!report) throw new Error("useReport outside of its provider");
  return report;
}

export function createReport(frame: Frame, view: View<ReportState>): Report {
  const { state } = view;
  const pack = () => frame.map().pack;
  const say = createMemo(() => reportWords(state.lang));

  // a published run of the map is a reason to look again
  const scenes = createAnswer(
    () => `${reportAddresses.scenes} ${frame.map().run}`,
    (_, signal) => get<SceneList>(reportAddresses.scenes, signal),
  );
  const sceneName = createMemo(() => {
    const of = (scenes.data()?.scenes ?? []).filter(
      (one) => one.indicators > 0 && one.packs.includes(pack()),
    );
    const found =
      of.find((one) => one.name === state.scene) ?? of.find((one) => one.name === USUAL) ?? of[0];
    return found?.name ?? "";
  });
  const detail = createAnswer(
    () => (sceneName() === "" ? null : `${reportAddresses.scene(sceneName())} ${frame.map().run}`),
    (_, signal) => get<SceneDetail>(reportAddresses.scene(sceneName()), signal),
  );
  const run = createMemo(() => detail.data()?.runs.find((one) => one.pack === pack()));
  const calendars = createMemo(() =>
    CALENDARS.filter((one) => (run()?.periods[one]?.length ?? 0) > 0),
  );
  const by = createMemo(
    () => calendars().find((one) => one === state.by) ?? calendars()[0] ?? "month",
  );
  const periods = createMemo(() => run()?.periods[by()] ?? []);
  const ord = createMemo(() => shownOrd(periods(), state.ord));
  const period = createMemo(() => periods()[ord()]);

  const unitAnswer = createAnswer(
    () =>
      state.scope === ""
        ? null
        : { pack: pack(), version: frame.map().boundary_version, code: state.scope },
    (asked, signal) => api.unit(asked.pack, asked.version, asked.code, signal),
  );
  const unit = createMemo<UnitDetail | undefined>((before) => {
    if (state.scope === "") return undefined;
    return unitAnswer.fresh() ? unitAnswer.data() : before;
  });
  const levels = () => run()?.levels ?? [];
  const cardLevel = createMemo(() => unit()?.level ?? levels()[0] ?? "");
  const ready = createMemo(
    () =>
      run() !== undefined && period() !== undefined && (state.scope === "" || unit() !== undefined),
  );
  const question = (level: string, within: string): ReportQuestion => ({
    scene: sceneName(),
    pack: pack(),
    run: run()?.run ?? 0,
    level,
    period: by(),
    ord: ord(),
    within,
  });
  const same = (a: ReportQuestion | null, b: ReportQuestion | null) =>
    JSON.stringify(a) === JSON.stringify(b);
  const asked = createMemo(
    () => (ready() ? question(cardLevel(), unit()?.code ?? "") : null),
    undefined,
    { equals: same },
  );
  const values = createAnswer(asked, (one, signal) =>
    get<IndicatorValues>(reportAddresses.values(one), signal),
  );
  const rows = createMemo(() => {
    const all = values.data()?.rows ?? [];
    // a map of several coarsest units begins with the first; the league leads to the others
    const code = unit()?.code ?? all[0]?.code;
    return new Map(all.filter((one) => one.code === code).map((one) => [one.indicator, one]));
  });
  const cardName = createMemo(() => {
    const known = unit() ?? [...rows().values()][0];
    return known ? frame.nameOf(known) : frame.title(frame.map().title);
  });
  const infos = createMemo(
    () =>
      new Map(
        (detail.data()?.tree?.fields ?? []).flatMap((field) =>
          field.groups.flatMap((group) => group.indicators.map((one) => [one.id, one] as const)),
        ),
      ),
  );
  const palette = createMemo(
    () => new Map((detail.data()?.palette ?? []).map((one) => [one.id, one])),
  );

  const place = (level: string) => levels().indexOf(level);
  const leagueLevel = createMemo(() => {
    const wanted = place(state.level);
    const own = place(cardLevel());
    if (wanted > own) return state.level;
    // the next finer level; the finest ranks among its like
    if (state.level !== "" && wanted === own && state.scope === "") return state.level;
    return levels()[own + 1] ?? levels()[own] ?? "";
  });
  const leagueScope = createMemo(() => {
    const one = unit();
    if (!one) return "";
    if (place(leagueLevel()) > place(one.level)) return one.code;
    return one.parent ?? "";
  });
  const ranked = createMemo(() => state.ind || TOTAL);
  const rankedName = createMemo(() => {
    const id = ranked();
    const tree = detail.data()?.tree;
    if (!tree) return "";
    if (id === TOTAL) return frame.title(tree.name);
    const info = infos().get(id);
    if (info) return frame.title(info.name);
    const field = tree.fields.find((one) => one.id === id);
    const group = tree.fields.flatMap((one) => one.groups).find((one) => one.id === id);
    const found = field ?? group;
    return found ? frame.title(found.name) : id;
  });
  const leagueAsked = createMemo(
    () => {
      if (!ready() || leagueLevel() === "") return null;
      return { ...question(leagueLevel(), leagueScope()), indicator: state.ind };
    },
    undefined,
    { equals: (a, b) => JSON.stringify(a) === JSON.stringify(b) },
  );
  const league = createAnswer(leagueAsked, ({ indicator, ...one }, signal) =>
    get<League>(reportAddresses.league(one, indicator), signal),
  );
  const alerts = createAnswer(
    () => reportAddresses.alerts(pack(), unit()?.code ?? ""),
    (address, signal) => get<AlertList>(address, signal),
  );

  const newest = (of: readonly CalendarPeriod[]) => shownOrd(of, null);
  const goTo = (wanted: number) => {
    const found = Math.min(Math.max(wanted, 0), periods().length - 1);
    view.go({ ord: found === newest(periods()) ? null : found }, "replace");
  };
  const setBy = (wanted: Calendar) => {
    const to = run()?.periods[wanted];
    if (!to || wanted === by()) return;
    // the newest period of one length leads to the newest of another, whatever day it ends
    const found = ord() === newest(periods()) ? newest(to) : (sameDay(period(), to) ?? newest(to));
    view.go({ by: wanted, ord: found === newest(to) ? null : found });
  };
  const setLevel = (wanted: string) => {
    const one = unit();
    if (!one || place(wanted) > place(one.level)) {
      view.go({ level: wanted });
      return;
    }
    // a level that is not below the unit: up to the one above that level
    const above = [...one.ancestors].reverse().find((up) => place(up.level) < place(wanted));
    const root = !above || (place(above.level) === 0 && onlyOne(above));
    view.go({ scope: root ? "" : above.code, level: wanted });
  };
  const onlyOne = (one: UnitBrief) => frame.map().levels[0]?.count === 1 && one.parent === null;
  const drill = (code: string) => view.go({ scope: code, level: "" });

  return {
    frame,
    view,
    say,
    scenes,
    sceneName,
    detail,
    run,
    calendars,
    by,
    periods,
    ord,
    period,
    unit,
    unitAnswer,
    cardLevel,
    values,
    rows,
    cardName,
    infos,
    palette,
    leagueLevel,
    leagueScope,
    league,
    ranked,
    rankedName,
    alerts,
    setBy,
    goTo,
    setLevel,
    drill,
  };
}
