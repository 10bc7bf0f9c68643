/** When a task is due, in words. Pure; the clock is handed in. */
import type { Lang } from "../state/hash";

const MINUTE = 60_000;
const DAY = 86_400_000;

/** Calendar day of a moment in a zone, as days since 1970. */
function dayOf(at: Date, zone: string): number {
  const [year, month, day] = new Intl.DateTimeFormat("en-CA", { timeZone: zone })
    .format(at)
    .split("-")
    .map(Number) as [number, number, number];
  return Math.round(Date.UTC(year, month - 1, day) / DAY);
}

export function clockOf(at: Date, zone: string): string {
  return new Intl.DateTimeFormat("en-GB", {
    timeZone: zone,
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  }).format(at);
}

/** 11-25, with the year when it is another one. */
function dateOf(at: Date, now: Date, zone: string): string {
  const iso = new Intl.DateTimeFormat("en-CA", { timeZone: zone }).format(at);
  const year = new Intl.DateTimeFormat("en-CA", { timeZone: zone, year: "numeric" }).format(now);
  return iso.startsWith(year) ? iso.slice(5) : iso;
}

/** `2 小时 10 分`; from two days on whole days. */
export function span(ms: number, lang: Lang): string {
  const minutes = Math.max(1, Math.floor(ms / MINUTE));
  const zh = lang === "zh";
  if (minutes < 60) return zh ? `${minutes} 分` : `${minutes} min`;
  if (minutes < 48 * 60) {
    const hours = Math.floor(minutes / 60);
    const rest = minutes % 60;
    const tail = rest === 0 ? "" : zh ? ` ${rest} 分` : ` ${rest} min`;
    return (zh ? `${hours} 小时` : `${hours} h`) + tail;
  }
  const days = Math.floor(minutes / 1440);
  return zh ? `${days} 天` : `${days} days`;
}

/** A day and a time of day as people say it: 今天 12:00, tomorrow 09:00, 11-25 09:00. */
export function when(iso: string, now: Date, zone: string, lang: Lang): string {
  const at = new Date(iso);
  const ahead = dayOf(at, zone) - dayOf(now, zone);
  const names: Record<Lang, Record<string, string>> = {
    zh: { "-1": "昨天", "0": "今天", "1": "明天" },
    en: { "-1": "yesterday", "0": "today", "1": "tomorrow" },
  };
  const day = names[lang][String(ahead)] ?? dateOf(at, now, zone);
  return `${day} ${clockOf(at, zone)}`;
}

export interface Due {
  late: boolean;
  text: string;
}

/** `逾期 2 小时 10 分` or `今天 12:00 前`; an end that has come is said as one. */
export function due(iso: string, now: Date, zone: string, lang: Lang): Due {
  const at = new Date(iso);
  const late = now.getTime() > at.getTime();
  if (late) {
    const over = span(now.getTime() - at.getTime(), lang);
    return { late, text: lang === "zh" ? `逾期 ${over}` : `${over} overdue` };
  }
  const text = when(iso, now, zone, lang);
  return { late, text: lang === "zh" ? `${text} 前` : `by ${text}` };
}
