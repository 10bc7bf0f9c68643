/**
 * Alerts, patrol tasks and the health of their loop: what the server answers and where it is asked. Knows
 * no screen; nothing here is kept, for all of it may change at any time.
 */
import type { components } from "./types.gen";

type Schemas = components["schemas"];

export type Task = Schemas["Task"];
export type TaskState = Task["state"];
export type TaskList = Schemas["TaskList"];
export type TaskDesk = Schemas["TaskDesk"];
export type DeskList = Schemas["DeskList"];
export type Alert = Schemas["Alert"];
export type AlertList = Schemas["AlertList"];
export type Loop = Schemas["Loop"];
export type StepTo = Schemas["StepDraft"]["to"];
export type AnswerWord = NonNullable<Task["answer"]>;

/** What is sent; parts with a default may be left out. */
export interface Position {
  lon: number;
  lat: number;
  accuracy_m: number;
}
export interface Form {
  answer: AnswerWord;
  measures: string[];
  count?: number;
  note: string;
}
/** One step as it is sent; the key makes a second try harmless. */
export interface StepDraft {
  to: StepTo;
  at: string;
  key: string;
  note?: string;
  position?: Position;
  form?: Form;
}

function query(parts: Record<string, string | number>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(parts)) {
    if (value !== "") search.set(name, String(value));
  }
  return search.size > 0 ? `?${search}` : "";
}

export const taskAddresses = {
  list: (pack: string) => `/api/tasks${query({ pack, limit: 1000 })}`,
  all: "/api/tasks",
  steps: (task: number) => `/api/tasks/${task}/steps`,
  photos: (task: number) => `/api/tasks/${task}/photos`,
  photo: (task: number, photo: number) => `/api/tasks/${task}/photos/${photo}`,
  handover: (task: number) => `/api/tasks/${task}/handover`,
  merge: (task: number) => `/api/tasks/${task}/merge`,
  desks: (pack: string) => `/api/desks${query({ pack })}`,
};

export const alertAddresses = {
  list: (pack: string, within = "", limit = 500) => `/api/alerts${query({ pack, within, limit })}`,
  open: (pack: string, within = "", limit = 500) =>
    `/api/alerts${query({ pack, state: "open", within, limit })}`,
  loop: (pack: string, from: string, within = "") => `/api/loop${query({ pack, from, within })}`,
};
