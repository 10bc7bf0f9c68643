/** The words of this page alone; the shared ones are in `i18n`. */
import type { Lang } from "../state/hash";
import { en } from "./en";
import { zh } from "./zh";

export type TaskWords = typeof zh;

const BOTH: Record<Lang, TaskWords> = { zh, en };

export function taskWords(lang: Lang): TaskWords {
  return BOTH[lang];
}
