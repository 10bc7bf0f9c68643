/** What the feedback form offers as done: the words of the task sheet, else general ones. Pure. */
import type { Task } from "../api/tasks";

type Both = Task["offers"][number];

const GENERAL: readonly Both[] = [
  { zh: "现场整改", en: "Mended on site" },
  { zh: "告知提醒", en: "Advised" },
  { zh: "增派巡查", en: "More patrols" },
  { zh: "移交部门", en: "Passed to a department" },
  { zh: "其他", en: "Other" },
];

export function offersOf(task: Task): readonly Both[] {
  return task.offers.length > 0 ? task.offers : GENERAL;
}

/** A measure in both languages; what no sheet knows is told as it was written. */
export function measure(task: Task, written: string): Both {
  const known = [...task.offers, ...GENERAL].find(
    (one) => one.zh === written || one.en === written,
  );
  return known ?? { zh: written, en: written };
}
