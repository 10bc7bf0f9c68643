/** The audit for auditors: entries newest first, and the head of the chain to note elsewhere. */
import { createEffect, createResource, createSignal, For, on, Show } from "solid-js";
import type { components } from "../api/types.gen";
import type { Lang } from "../state/hash";
import { Choice, clock, mine, said } from "./parts.view";
import type { AdminWords } from "./words";

type Page = components["schemas"]["AuditPage"];

interface Props {
  words: AdminWords;
  lang: Lang;
}

export function AuditView(props: Props) {
  const [action, setAction] = createSignal("");
  const [before, setBefore] = createSignal<number>();
  const [entries, setEntries] = createSignal<Page["entries"]>([]);
  const address = () => {
    const query = new URLSearchParams();
    if (action()) query.set("action", action());
    const last = before();
    if (last) query.set("before", String(last));
    return `/api/audit?${query}`;
  };
  const [page] = createResource(address, (one) => mine<Page>("GET", one));
  createEffect(
    on(page, (found) => {
      const more = found?.answer?.entries;
      if (more) setEntries(before() ? [...entries(), ...more] : more);
    }),
  );
  const choose = (value: string) => {
    setBefore(undefined);
    setAction(value);
  };
  return (
    <section class="card audit">
      <h1>{props.words.audit}</h1>
      <p class="problem" role="alert">
        {page.latest?.refusal && said(props.words, page.latest.refusal)}
      </p>
      <Choice
        label={props.words.action}
        value={action()}
        onInput={choose}
        of={Object.entries(props.words.actions)}
      />
      <Show when={page.latest?.answer}>
        {(found) => (
          <p class="note">
            {props.words.head(found().head_place)}{" "}
            <code>
              wusetu audit verify --expect {found().head_place}:{found().head_digest}
            </code>
          </p>
        )}
      </Show>
      <section class="scroll" tabindex="0" aria-label={props.words.audit}>
        <table>
          <thead>
            <tr>
              <th scope="col">{props.words.time}</th>
              <th scope="col">{props.words.who}</th>
              <th scope="col">{props.words.what}</th>
              <th scope="col">{props.words.purpose}</th>
              <th scope="col">{props.words.rows}</th>
            </tr>
          </thead>
          <tbody>
            <For each={entries()}>
              {(one) => (
                <tr>
                  <td>{clock(props.lang, one.at)}</td>
                  <td>{one.name}</td>
                  <td>
                    {one.action} <span class="note">{one.outcome}</span>
                  </td>
                  <td>{one.purpose}</td>
                  <td class="number">{one.rows}</td>
                </tr>
              )}
            </For>
          </tbody>
        </table>
      </section>
      <Show when={page.latest?.answer && entries().length === 0}>
        <p>{props.words.noEntries}</p>
      </Show>
      <Show when={page.latest?.answer?.next}>
        {(next) => (
          <button type="button" class="button" onClick={() => setBefore(next())}>
            {props.words.older}
          </button>
        )}
      </Show>
    </section>
  );
}
