/** When: hours of the week, and months beside those of the year before with what was to be expected. */
import { createMemo, For, Show } from "solid-js";
import { createAnswer } from "../api/answer";
import { addresses, api } from "../api/client";
import { ymd } from "../state/periods";
import { useAsk } from "./ask";
import { MonthSeries, monthRows, WeekHours } from "./charts";
import { monthsOf } from "./days";
import type { Focus } from "./focus";
import { seen } from "./seen";

export function When(props: { focus: Focus }) {
  const ask = useAsk();
  const say = ask.say;
  const counts = () => props.focus.counts();
  const span = () => ask.span();
  const hours = () => counts()?.by_hour_of_week;

  /**
   * What was to be expected of each month: the expected count of the span, cut by the months of the
   * reference area (METHODS 2). Only of whole months, whole weeks and every way of locating.
   */
  const cut = createAnswer(
    () => {
      const answer = ask.analysis.data();
      const reference = answer?.reference?.code;
      const run = answer?.run;
      const whole = span().from.endsWith("-01") && span().to.endsWith("-01");
      if (!reference || !run || !whole) return null;
      if (ask.view.state.hours.length > 0 || ask.view.state.by.length > 0) return null;
      const kinds = (answer.kinds ?? []).filter(
        (one) =>
          one.expected !== null &&
          (props.focus.kind() === "overall" || one.kind === props.focus.kind()),
      );
      if (kinds.length === 0) return null;
      return {
        run,
        reference,
        months: monthsOf(span()),
        kinds: kinds.map((one) => ({ kind: one.kind, expected: one.expected as number })),
      };
    },
    async (asked, signal) => {
      const sums = new Map(asked.months.map((month) => [month, 0]));
      await Promise.all(
        asked.kinds.map(async ({ kind, expected }) => {
          const series = await api.series(
            addresses.series(asked.run, asked.reference, kind, "month"),
            signal,
          );
          const inside = series.points.flatMap((point) => {
            return sums.has(point.start) ? [{ month: point.start, n: point.observed ?? 0 }] : [];
          });
          const total = inside.reduce((sum, one) => sum + one.n, 0);
          for (const one of inside) {
            if (total > 0)
              sums.set(one.month, (sums.get(one.month) ?? 0) + (expected * one.n) / total);
          }
        }),
      );
      return sums;
    },
  );
  const rows = createMemo(() =>
    monthRows(span(), counts()?.by_month, props.focus.before()?.by_month, cut.data()),
  );
  const total = () => seen(counts()?.total_text ?? "—");
  const year = (month: string | undefined) => month?.slice(0, 4) ?? "";
  return (
    <>
      <Show when={hours()}>
        {(found) => (
          <section class="block">
            <h3>
              <span>{say().when(props.focus.name(), total())}</span>
              <span class="greys">
                {say().lessMore[0]}
                <svg viewBox="0 0 98 10" aria-hidden="true">
                  <For each={[0, 1, 2, 3, 4, 5, 6]}>
                    {(grey) => (
                      <rect class={`grey-${grey}`} x={grey * 14} width="13" height="10" rx="1" />
                    )}
                  </For>
                </svg>
                {say().lessMore[1]}
              </span>
            </h3>
            <WeekHours
              hours={found()}
              days={say().weekday}
              label={say().when(props.focus.name(), total())}
            />
          </section>
        )}
      </Show>
      <Show when={rows().length > 1 && counts()?.by_month}>
        <section class="block">
          <h3>
            <span>{say().byMonth}</span>
            <span>
              {say().seriesNote}
              <Show when={cut.data()}> · {say().seriesBand}</Show>
            </span>
          </h3>
          <MonthSeries
            rows={rows()}
            colour={props.focus.risk()?.colour ?? "none"}
            tick={(month) =>
              ask.view.state.lang === "zh" ? `${ymd(month).month}月` : month.slice(2, 7)
            }
            ends={{
              now: year(rows().at(-1)?.month),
              before: String(Number(year(rows().at(-1)?.month)) - 1),
              expected: say().expected,
            }}
            label={say().byMonth}
          />
        </section>
      </Show>
    </>
  );
}
