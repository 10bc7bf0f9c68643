/** Words of the border page in the present language. */
import type { Lang } from "../state/hash";
import { en } from "./en";
import { zh } from "./zh";

export type Say = typeof zh;
const BOTH: Record<Lang, Say> = { zh, en };

export function wordsOf(lang: Lang): Say {
  return BOTH[lang];
}
