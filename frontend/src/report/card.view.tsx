/** The indicators of one unit, field by field: value, class, change with interval, last twelve periods. */
import { For, Show } from "solid-js";
import type { FieldInfo, IndicatorInfo, IndicatorValue } from "../api/report";
import { useFrame } from "../command/frame";
import { Settled } from "../command/states.view";
import { TOTAL, useReport } from "./model";
import { ChangeCell, ClassChip, printedValue, Spark } from "./parts.view";

export function CardPane() {
  const report = useReport();
  const { title } = useFrame();
  const tree = () => report.detail.data()?.tree;
  const total = () => report.rows().get(TOTAL);
  const rank = (id: string) =>
    report.view.go({ ind: id === TOTAL ? "" : id, pane: "league" }, "replace");
  return (
    <section class="card-pane pane" data-pane="card" aria-label={report.cardName()}>
      <Settled answer={report.values} what={report.say().failedValues} rows={14}>
        {() => (
          <div classList={{ old: !report.values.fresh() }} data-testid="card">
            <header class="card-head">
              <h1>{report.cardName()}</h1>
              <Show when={total()}>
                {(row) => (
                  <p class="card-total">
                    <button
                      type="button"
                      class="total-name"
                      aria-pressed={report.ranked() === TOTAL}
                      title={report.say().showRanking(title(tree()?.name ?? { zh: "", en: "" }))}
                      onClick={() => rank(TOTAL)}
                    >
                      {title(tree()?.name ?? { zh: "", en: "" })}
                    </button>
                    <b data-testid="total">{row().printed}</b>
                    <ClassChip id={row().class} />
                    <span class="quiet">{report.say().previous[report.by()]}</span>
                    <ChangeCell change={row().change.previous} info={undefined} />
                    <Show when={report.by() !== "year"}>
                      <span class="quiet">{report.say().lastYear}</span>
                      <ChangeCell change={row().change.last_year} info={undefined} />
                    </Show>
                    <Show when={row().step}>
                      {(step) => <span class="badge">{report.say().step[step()]}</span>}
                    </Show>
                  </p>
                )}
              </Show>
            </header>
            <table class="indicators" data-span={report.by()}>
              <thead>
                <tr>
                  <th scope="col">{report.say().indicator}</th>
                  <th scope="col" class="num">
                    {report.say().value}
                  </th>
                  <th scope="col">{report.say().class_}</th>
                  <th scope="col">{report.say().previous[report.by()]}</th>
                  <th scope="col">{report.say().lastYear}</th>
                  <th scope="col">{report.say().spark[report.by()]}</th>
                </tr>
              </thead>
              <For each={tree()?.fields ?? []}>
                {(field) => <FieldRows field={field} onRank={rank} />}
              </For>
            </table>
          </div>
        )}
      </Settled>
    </section>
  );
}

function FieldRows(props: { field: FieldInfo; onRank: (id: string) => void }) {
  const report = useReport();
  const { title } = useFrame();
  const own = () => report.rows().get(props.field.id);
  const all = () => props.field.groups.flatMap((group) => group.indicators);
  return (
    <tbody data-field={props.field.id}>
      <tr class="field">
        <th scope="rowgroup">
          <button
            type="button"
            aria-pressed={report.ranked() === props.field.id}
            title={report.say().showRanking(title(props.field.name))}
            onClick={() => props.onRank(props.field.id)}
          >
            {title(props.field.name)}
          </button>
        </th>
        <td class="num">
          <Show when={(own()?.score !== null || own()?.suppressed) && own()}>
            {(row) => (
              <>
                {row().printed}
                <Show when={!row().suppressed}>
                  <small>{report.say().points}</small>
                </Show>
              </>
            )}
          </Show>
        </td>
        <td>
          <ClassChip id={own()?.class ?? null} />
        </td>
        <td>
          <ChangeCell change={own()?.change.previous ?? null} info={undefined} />
        </td>
        <td>
          <ChangeCell change={own()?.change.last_year ?? null} info={undefined} />
        </td>
        <td />
      </tr>
      <For each={all()}>
        {(info) => (
          <IndicatorRow info={info} row={report.rows().get(info.id)} onRank={props.onRank} />
        )}
      </For>
    </tbody>
  );
}

function IndicatorRow(props: {
  info: IndicatorInfo;
  row: IndicatorValue | undefined;
  onRank: (id: string) => void;
}) {
  const report = useReport();
  const { title } = useFrame();
  return (
    <tr data-indicator={props.info.id} aria-current={report.ranked() === props.info.id}>
      <th scope="row">
        <button
          type="button"
          title={`${report.say().showRanking(title(props.info.name))} · ${report.say().good[props.info.direction]}`}
          aria-pressed={report.ranked() === props.info.id}
          onClick={() => props.onRank(props.info.id)}
        >
          {title(props.info.name)}
        </button>
      </th>
      <td class="num value">
        <Show
          when={props.row && (props.row.value !== null || props.row.suppressed) && props.row}
          fallback={<span class="quiet">{report.say().noValue}</span>}
        >
          {(row) => (
            <>
              <b data-testid="value">{printedValue(row().printed)}</b>
              <Show when={!row().suppressed}>
                <small>{title(props.info.unit)}</small>
              </Show>
            </>
          )}
        </Show>
      </td>
      <td class="class-cell">
        <ClassChip id={props.row?.class ?? null} />
      </td>
      <td class="previous" data-label={report.say().previous[report.by()]}>
        <ChangeCell change={props.row?.change.previous ?? null} info={props.info} />
      </td>
      <td class="last-year" data-label={report.say().lastYear}>
        <ChangeCell change={props.row?.change.last_year ?? null} info={props.info} />
      </td>
      <td class="spark-cell">
        <Show when={props.row}>
          {(row) => <Spark series={row().series} class_={row().class} />}
        </Show>
      </td>
    </tr>
  );
}
