/** The words of this page alone; the shared ones are in `i18n`. */
import type { Lang } from "../state/hash";
import { en } from "./en";
import { zh } from "./zh";

export type AnalystWords = typeof zh;

const BOTH: Record<Lang, AnalystWords> = { zh, en };

export function analystWords(lang: Lang): AnalystWords {
  return BOTH[lang];
}
