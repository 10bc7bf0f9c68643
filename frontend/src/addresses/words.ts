/** The words of this page alone; the shared ones are in `i18n`. */
import type { Lang } from "../state/hash";
import { en } from "./en";
import { zh } from "./zh";

export type AddressWords = typeof zh;

const BOTH: Record<Lang, AddressWords> = { zh, en };

export function addressWords(lang: Lang): AddressWords {
  return BOTH[lang];
}
