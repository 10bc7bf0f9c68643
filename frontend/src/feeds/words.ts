/** The words of this page alone; the shared ones are in `i18n`. */
import type { Lang } from "../state/hash";
import { en } from "./en";
import { zh } from "./zh";

export type FeedWords = typeof zh;

const BOTH: Record<Lang, FeedWords> = { zh, en };

export function feedWords(lang: Lang): FeedWords {
  return BOTH[lang];
}
