/**
 * What the command views share: the state of the link, the answers of the server, and what follows from
 * both. One object per page; no hidden state.
 */
import { type Accessor, createContext, createMemo, useContext } from "solid-js";
import { type Answer, createAnswer } from "../api/answer";
import { addresses, api, type Question } from "../api/client";
import type {
  KindInfo,
  LevelInfo,
  Manifest,
  PeriodInfo,
  Ranking,
  Series,
  Summary,
  UnitBrief,
  UnitDetail,
  Why,
} from "../api/models";
import { levelIndex, rootCode, scopeIndex, shownLevel } from "../state/levels";
import { clampOrd } from "../state/periods";
import type { View } from "../state/view";
import { type AlertModel, createAlerts } from "./alerts.model";
import { type CellModel, createCells } from "./cells.model";
import { createFrame, type Frame } from "./frame";

export interface Model extends Frame {
  /** The unit looked into; undefined while the whole map is. */
  scope: Accessor<UnitDetail | undefined>;
  /** The scope, or the single top unit of the map. */
  scopeUnit: Accessor<UnitDetail | undefined>;
  scopeAnswer: Answer<UnitDetail>;
  scopeIndex: Accessor<number>;
  scopeName: Accessor<string>;
  level: Accessor<LevelInfo>;
  kind: Accessor<KindInfo>;
  periods: Accessor<PeriodInfo[]>;
  ord: Accessor<number>;
  periodInfo: Accessor<PeriodInfo>;
  question: Accessor<Question>;
  summary: Answer<Summary>;
  why: Answer<Why>;
  series: Answer<Series>;
  selected: Answer<UnitDetail>;
  /** Ranking of the selected unit's level, or of the level shown. */
  ranking: Answer<Ranking>;
  rankingLevel: Accessor<LevelInfo>;
  /** Hexagonal cells in place of units. */
  cells: CellModel;
  /** Alerts, patrol tasks and their loop. */
  alerts: AlertModel;
}

const Context = createContext<Model>();

export const ModelProvider = Context.Provider;

export function useModel(): Model {
  const model = useContext(Context);
  if (!model) throw new Error("useModel outside of its provider");
  return model;
}

export const RANKING_LIMIT = 60;

export function createModel(view: View, manifest: Accessor<Manifest>, wall: boolean): Model {
  const { state } = view;
  const frame = createFrame(view, manifest, wall);
  const { map, nameOf, title } = frame;

  const unitOf = (code: Accessor<string>) =>
    createAnswer(
      () =>
        code() === "" ? null : { pack: map().pack, version: map().boundary_version, code: code() },
      (asked, signal) => api.unit(asked.pack, asked.version, asked.code, signal),
    );
  const scopeAnswer = unitOf(() => state.scope);
  const rootAnswer = unitOf(() => rootCode(map()));
  const scope = createMemo<UnitDetail | undefined>((before) => {
    if (state.scope === "") return undefined;
    return scopeAnswer.fresh() ? scopeAnswer.data() : before;
  });
  const index = createMemo(() => scopeIndex(map(), scope()));
  const level = createMemo(() => shownLevel(map(), index(), state.level));
  const kind = createMemo(
    () => (map().kinds.find((one) => one.id === state.kind) ?? map().kinds[0]) as KindInfo,
  );
  const periods = createMemo(() => map().periods[state.period]);
  const ord = createMemo(() => clampOrd(periods(), state.ord));
  const periodInfo = createMemo(() => periods()[ord()] as PeriodInfo);
  const same = (a: Question, b: Question) => JSON.stringify(a) === JSON.stringify(b);
  const question = createMemo(
    (): Question => ({
      run: map().run,
      level: level().id,
      kind: kind().id,
      period: state.period,
      ord: ord(),
      within: scope()?.code ?? "",
    }),
    undefined,
    { equals: same },
  );
  // While a scope of the link is not known yet, nothing is asked about the whole map in its stead.
  const ready = createMemo(() => state.scope === "" || scope() !== undefined);
  const summary = createAnswer(() => (ready() ? question() : null), api.summary);

  const selected = unitOf(() => state.unit);
  const selectedLevel = createMemo(() => {
    const unit = state.unit !== "" ? selected.data() : undefined;
    return unit ? map().levels[levelIndex(map(), unit.level)] : undefined;
  });
  const rankingLevel = createMemo(() => selectedLevel() ?? level());
  const ranking = createAnswer(
    () => (ready() ? { ...question(), level: rankingLevel().id } : null),
    (asked, signal) => api.ranking(asked, RANKING_LIMIT, signal),
  );
  const why = createAnswer(
    () =>
      state.unit === ""
        ? null
        : addresses.why(map().run, state.unit, kind().id, state.period, ord()),
    api.why,
  );
  const series = createAnswer(
    () =>
      state.unit === "" ? null : addresses.series(map().run, state.unit, kind().id, state.period),
    api.series,
  );
  const cells = createCells(state, map, question, ready, wall);
  const alerts = createAlerts(
    map,
    {
      unit: () => state.unit,
      kind: () => kind().id,
      within: () => scope()?.code ?? "",
      level: () => level().id,
    },
    wall,
  );
  const scopeUnit = () => scope() ?? (rootCode(map()) !== "" ? rootAnswer.data() : undefined);
  const scopeName = () => {
    const unit = scopeUnit();
    return unit ? nameOf(unit) : title(map().title);
  };
  return {
    ...frame,
    scope,
    scopeUnit,
    scopeAnswer,
    scopeIndex: index,
    scopeName,
    level,
    kind,
    periods,
    ord,
    periodInfo,
    question,
    summary,
    why,
    series,
    selected,
    ranking,
    rankingLevel,
    cells,
    alerts,
  };
}

/** Chain of names from the map down to the scope, for the bread crumbs. */
export function crumbs(model: Model): { code: string; name: string }[] {
  const scope = model.scope();
  const root = rootCode(model.map());
  const rootUnit = model.scopeUnit();
  const top =
    root !== ""
      ? { code: "", name: scope?.ancestors[0] ? model.nameOf(scope.ancestors[0]) : "" }
      : { code: "", name: model.title(model.map().title) };
  if (!scope) {
    return [{ code: "", name: rootUnit ? model.nameOf(rootUnit) : model.title(model.map().title) }];
  }
  const chain: UnitBrief[] = [...scope.ancestors, scope].filter((one) => one.code !== root);
  return [top, ...chain.map((one) => ({ code: one.code, name: model.nameOf(one) }))];
}
