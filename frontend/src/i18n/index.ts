/** The dictionaries: one file per language, the same keys in both (tested). */
import type { Lang } from "../state/hash";
import { en } from "./en";
import { zh } from "./zh";

/** What a dictionary holds: plain words and sentences that take numbers. */
export type Words = typeof zh;

const BOTH: Record<Lang, Words> = { zh, en };

export function dictionary(lang: Lang): Words {
  return BOTH[lang];
}
