/**
 * Which level a scope shows, who is whose parent: plain rules on the manifest's levels (coarse to fine).
 * A parent's code is a prefix of its children's. Imports types only.
 */
import type { LevelInfo, MapInfo, UnitBrief, UnitDetail } from "../api/models";

/** Place of a level, coarse = 0; -1 for the whole map. */
export function levelIndex(map: MapInfo, level: string): number {
  return map.levels.findIndex((one) => one.id === level);
}

/** Index of the scope's own level. A whole map with one top unit counts as that unit. */
export function scopeIndex(map: MapInfo, scope: UnitDetail | undefined): number {
  if (scope) return levelIndex(map, scope.level);
  return map.levels[0]?.count === 1 && map.levels.length > 1 ? 0 : -1;
}

/** City shows towns, county villages, town grids: two levels down, as far as there are levels. */
export function defaultLevel(map: MapInfo, index: number): LevelInfo {
  const place = Math.min(Math.max(index + 2, 0), map.levels.length - 1);
  return map.levels[place] as LevelInfo;
}

/** Levels that may be shown inside a scope: those finer than it. */
export function levelsBelow(map: MapInfo, index: number): LevelInfo[] {
  const below = map.levels.slice(index + 1);
  return below.length > 0 ? below : map.levels.slice(-1);
}

/** The level shown: the wanted one if it is below the scope, else the default. */
export function shownLevel(map: MapInfo, index: number, wanted: string): LevelInfo {
  const below = levelsBelow(map, index);
  return below.find((one) => one.id === wanted) ?? defaultLevel(map, index);
}

/** Code of the single top unit of a map, or empty. */
export function rootCode(map: MapInfo): string {
  const top = map.levels[0];
  return top?.count === 1 ? (top.counties[0]?.[0] ?? "") : "";
}

/**
 * The scope one step down towards a unit: its ancestor (or itself) just below the present scope. Null
 * when nothing finer than it could be shown.
 */
export function drillTarget(
  map: MapInfo,
  index: number,
  unit: UnitDetail | UnitBrief,
  ancestors: readonly UnitBrief[],
): UnitBrief | null {
  const chain = [...ancestors, unit];
  const finest = map.levels.length - 1;
  const next = chain.find((one) => levelIndex(map, one.level) > index);
  if (!next) return null;
  return levelIndex(map, next.level) < finest ? next : null;
}

/** Position of a unit's values in the level's payload, or -1. */
export function valueIndex(level: LevelInfo, id: number): number {
  const index = id - level.first_id;
  return index >= 0 && index < level.count ? index : -1;
}

/** Unit ids of one county inside a level: [first, last + 1), or the whole level. */
export function idRange(level: LevelInfo, code: string): [number, number] {
  let first = Number.POSITIVE_INFINITY;
  let end = 0;
  for (const [county, start, n] of level.counties) {
    if (county.startsWith(code) || (county !== "" && code.startsWith(county))) {
      first = Math.min(first, start);
      end = Math.max(end, start + n);
    }
  }
  return end > 0 ? [first, end] : [level.first_id, level.first_id + level.count];
}
