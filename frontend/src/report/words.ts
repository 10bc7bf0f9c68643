/** The words of this page alone; the shared ones are in `i18n`. */
import type { Lang } from "../state/hash";
import { en } from "./en";
import { zh } from "./zh";

export type ReportWords = typeof zh;

const BOTH: Record<Lang, ReportWords> = { zh, en };

export function reportWords(lang: Lang): ReportWords {
  return BOTH[lang];
}
