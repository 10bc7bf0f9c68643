/** A count as the server lets it be shown: grouped when it is a number, "<5" as it is. */
import { count } from "../charts/numbers";

export function seen(text: string): string {
  return /^\d+$/.test(text) ? count(Number(text)) : text;
}
