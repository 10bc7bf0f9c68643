/** Feedback that is being written: kept on this device with every change, gone once it is sent. */
import type { AnswerWord } from "../api/tasks";
import type { Board } from "./board";
import { shrink } from "./shrink";
import type { Shown } from "./steps";

export const MOST_PHOTOS = 6;

export interface Draft {
  answer: AnswerWord | "";
  measures: string[];
  count: number;
  note: string;
  position: boolean;
  photos: Blob[];
}

export const EMPTY: Draft = {
  answer: "",
  measures: [],
  count: 0,
  note: "",
  position: false,
  photos: [],
};

const keyOf = (task: Shown) => `draft:${task.id}`;

export async function readDraft(board: Board, task: Shown): Promise<Draft> {
  const known = await board.recall<Draft>(keyOf(task)).catch(() => null);
  return { ...EMPTY, ...known };
}

export function writeDraft(board: Board, task: Shown, draft: Draft): Promise<void> {
  return board.remember(keyOf(task), draft);
}

export function dropDraft(board: Board, task: Shown): Promise<void> {
  return board.forget(keyOf(task));
}

/** Small copies of those files that are photos, as many as there is room for. */
export async function taken(
  files: readonly File[],
  room: number,
): Promise<{ photos: Blob[]; bad: boolean; many: boolean }> {
  const photos: Blob[] = [];
  let bad = false;
  for (const file of files.slice(0, room)) {
    try {
      photos.push(await shrink(file));
    } catch {
      bad = true;
    }
  }
  return { photos, bad, many: files.length > room };
}

/** A photo taken from the sheet, before the form is open. */
export async function addToDraft(board: Board, task: Shown, files: readonly File[]): Promise<void> {
  const draft = await readDraft(board, task);
  const { photos } = await taken(files, MOST_PHOTOS - draft.photos.length);
  await writeDraft(board, task, { ...draft, photos: [...draft.photos, ...photos] });
}
