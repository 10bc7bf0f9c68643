/** Every map has its table: the level shown, inside the scope, worst first. */
import { Download, X } from "lucide";
import { createSignal, For, Show } from "solid-js";
import { createAnswer } from "../api/answer";
import { addresses, api } from "../api/client";
import { count, expectedCount, ratio } from "../charts/numbers";
import { Chip } from "./chip.view";
import { Icon } from "./icon";
import { useModel } from "./model";
import { Settled } from "./states.view";
import { grouped } from "./why.view";

const STEP = 200;

export function TablePanel(props: { onPick: (code: string) => void }) {
  const model = useModel();
  const { view, words } = model;
  const [limit, setLimit] = createSignal(STEP);
  const answer = createAnswer(
    () => ({ question: model.question(), limit: limit() }),
    (asked, signal) => api.ranking(asked.question, asked.limit, signal),
  );
  const none = () => model.summary.data()?.counts.find((one) => one.colour === "none")?.count ?? 0;
  const level = () => model.title(model.level().title);
  const address = () => {
    const { within: _within, ...question } = model.question();
    return addresses.export(question, "csv");
  };
  return (
    <section class="table-panel" aria-label={words().tableTitle(level())}>
      <header>
        <h2>{words().tableTitle(level())}</h2>
        <a class="button" href={address()} download="" title={words().csvTitle}>
          <Icon node={Download} />
          {words().csv}
        </a>
        <button
          type="button"
          class="icon-button"
          title={words().close}
          aria-label={words().close}
          onClick={() => view.go({ table: false })}
        >
          <Icon node={X} />
        </button>
      </header>
      <Settled answer={answer} what={words().table} rows={10}>
        {(data) => (
          <section class="table-scroll" tabindex="0" aria-label={level()}>
            <p class="note">
              {words().tableNote(count(data().rows.length), count(data().total))}
              <Show when={none() > 0}> {words().tableNoData(count(none()))}</Show>
            </p>
            <table>
              <thead>
                <tr>
                  <th scope="col" class="num">
                    {words().ranking}
                  </th>
                  <th scope="col" class="num">
                    {words().interval90}
                  </th>
                  <th scope="col">{level()}</th>
                  <th scope="col">{words().colourName}</th>
                  <th scope="col" class="num">
                    {words().relativeRisk}
                  </th>
                  <th scope="col" class="num">
                    {words().observed}
                  </th>
                  <th scope="col" class="num">
                    {words().expected}
                  </th>
                </tr>
              </thead>
              <tbody>
                <For each={data().rows}>
                  {(row) => (
                    <tr aria-current={row.unit.code === view.state.unit}>
                      <td class="num">{row.rank}</td>
                      <td class="num note">
                        {row.low}–{row.high}
                      </td>
                      <th scope="row">
                        <button
                          type="button"
                          class="link"
                          onClick={() => props.onPick(row.unit.code)}
                        >
                          {model.nameOf(row.unit)}
                        </button>{" "}
                        <span class="code note">{grouped(row.unit.code)}</span>
                      </th>
                      <td>
                        <Chip colour={row.colour} />
                      </td>
                      <td class="num">{ratio(row.theta)}</td>
                      <td class="num">{count(row.observed)}</td>
                      <td class="num">{expectedCount(row.expected)}</td>
                    </tr>
                  )}
                </For>
              </tbody>
            </table>
            <Show when={data().rows.length < data().total}>
              <button type="button" class="button" onClick={() => setLimit(limit() + STEP)}>
                +{STEP}
              </button>
            </Show>
          </section>
        )}
      </Settled>
    </section>
  );
}
