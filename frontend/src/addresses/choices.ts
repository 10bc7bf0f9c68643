/** What a person may choose for a text, and which name they may teach with it. Pure. */
import type { components } from "../api/types.gen";

type Schemas = components["schemas"];
export type ReviewItem = Schemas["ReviewItem"];
export type ReviewQueue = Schemas["ReviewQueue"];
export type AddressAnswer = Schemas["AddressAnswer"];
export type AddressAnswers = Schemas["AddressAnswers"];
export type ReviewDecision = Schemas["ReviewDecision"];

/** A code a text may mean. */
export interface Choice {
  code: string;
  /** Names of its units, from the coarsest; null while only the code is known. */
  name: string | null;
  level: string | null;
  /** Code of the map's finest unit that holds it. */
  unit: string | null;
  place: string | null;
  reasons: readonly string[];
  /** How sure the resolver is of it, 0 to 1; null of the others. */
  confidence: number | null;
  /** Only what several others share. */
  shared: boolean;
}

/**
 * Choices of a text, likeliest first, each code once: what the resolver says now, then what it said when
 * the text came in. Of equal ones what they share comes last: it says less, but it is true.
 */
export function choicesOf(item: ReviewItem, answer: AddressAnswer | undefined): Choice[] {
  const found: Choice[] = [];
  const add = (one: Choice) => {
    if (one.code !== "" && found.every((known) => known.code !== one.code)) found.push(one);
  };
  const plain = (code: string, shared: boolean): Choice => ({
    code,
    name: null,
    level: null,
    unit: null,
    place: null,
    reasons: [],
    confidence: null,
    shared,
  });
  const several = answer ? answer.status === "ambiguous" : item.reasons.includes("several");
  const best: Choice | undefined = answer?.code
    ? {
        code: answer.code,
        name: answer.name,
        level: answer.level,
        unit: answer.unit,
        place: answer.place,
        reasons: several ? [] : answer.reasons,
        confidence: several ? null : answer.confidence,
        shared: several,
      }
    : undefined;
  if (best && !several) add(best);
  for (const one of answer?.candidates ?? []) add({ ...one, confidence: null, shared: false });
  if (!answer && item.code && !several) {
    add({ ...plain(item.code, false), reasons: item.reasons, confidence: item.confidence });
  }
  if (!answer) for (const code of item.candidates) add(plain(code, false));
  if (best && several) add(best);
  else if (!answer && item.code && several) add(plain(item.code, true));
  return found;
}

/** Chinese numerals are read like figures where they count houses. */
const NUMBERED = /[0-9#]+|[零一二三四五六七八九十百两]+(?=[幢栋号单层楼室座])/u;
const UNIT_WORD = /^.{1,12}?(?:省|市|区|县|镇|乡|街道|社区|村)/u;

/**
 * The name in a text that the base may not know: without the units named before it and without the
 * numbers behind it. Empty when nothing is left that could be a name.
 */
export function nameIn(text: string, unitNames: string | null): string {
  let rest = text.normalize("NFKC").replaceAll(/\s+|[,，。;；]/gu, "");
  for (;;) {
    const head = UNIT_WORD.exec(rest)?.[0];
    // 小区 and the like end a name, too: only what the map calls so is taken away
    if (!head || head.length >= rest.length || !unitNames?.includes(head)) break;
    rest = rest.slice(head.length);
  }
  const end = NUMBERED.exec(rest);
  if (end) rest = rest.slice(0, end.index);
  return rest.length >= 2 && rest.length <= 20 ? rest : "";
}

/** What is sent: the code, and the name with it when one is to be learnt. */
export function decisionOf(code: string, name: string, place: string): ReviewDecision {
  const alias = name.trim();
  if (alias === "") return { code };
  return { code, alias: { name: alias, place: place.trim() || null } };
}

/** The text that is next when one is done: the one after it, else the one before. */
export function nextOf(items: readonly { id: number }[], done: number): number {
  const at = items.findIndex((one) => one.id === done);
  if (at < 0) return 0;
  return (items[at + 1] ?? items[at - 1])?.id ?? 0;
}
