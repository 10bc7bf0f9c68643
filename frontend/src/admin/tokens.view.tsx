/** Tokens of one account: looked up when they are opened. */
import { createResource, createSignal, For, Show } from "solid-js";
import type { SessionInfo } from "../api/session";
import type { components } from "../api/types.gen";
import type { Lang } from "../state/hash";
import { clock, Line, mine, Once, said } from "./parts.view";
import type { AdminWords } from "./words";

type Schemas = components["schemas"];

interface Props {
  words: AdminWords;
  lang: Lang;
  account: number;
  kind: string;
}

const SCOPES: SessionInfo["actions"] = ["see_map", "ask_area", "see_records", "export"];

export function TokensView(props: Props) {
  const [open, setOpen] = createSignal(false);
  const [list, { refetch }] = createResource(open, () =>
    mine<Schemas["TokenInfo"][]>("GET", `/api/tokens?account=${props.account}`),
  );
  const [title, setTitle] = createSignal("");
  const [days, setDays] = createSignal("90");
  const [scopes, setScopes] = createSignal<string[]>(["see_map"]);
  const [problem, setProblem] = createSignal<string>();
  const [made, setMade] = createSignal<Schemas["MadeToken"]>();
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const found = await mine<Schemas["MadeToken"]>("POST", "/api/tokens", {
      account: props.account,
      title: title(),
      days: Number(days()),
      scopes: scopes(),
    });
    setProblem(found.refusal && said(props.words, found.refusal));
    setMade(found.answer);
    refetch();
  };
  const revoke = async (id: number) => {
    const { refusal } = await mine("DELETE", `/api/tokens/${id}`);
    setProblem(refusal && said(props.words, refusal));
    refetch();
  };
  return (
    <details onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{props.words.tokens}</summary>
      <Show when={made()}>
        {(one) => (
          <Once
            words={props.words}
            label={props.words.secretFor(one().token.title)}
            secret={one().secret}
            onClose={() => setMade(undefined)}
          />
        )}
      </Show>
      <p class="problem" role="alert">
        {problem()}
      </p>
      <ul class="open">
        <For each={list.latest?.answer} fallback={<li>{props.words.noTokens}</li>}>
          {(one) => (
            <li>
              <div class="who">
                <b>{one.title}</b>
                <span class="note">
                  {one.scopes.join(" ")} · {props.words.until(clock(props.lang, one.expires_at))} ·{" "}
                  {one.used_at
                    ? props.words.used(clock(props.lang, one.used_at))
                    : props.words.neverUsed}
                </span>
              </div>
              <button type="button" class="button" onClick={() => revoke(one.id)}>
                {props.words.revoke}
              </button>
            </li>
          )}
        </For>
      </ul>
      <Show when={props.kind === "program"}>
        <form method="post" action="/admin" onSubmit={submit}>
          <Line
            label={props.words.accountTitle}
            value={title()}
            onInput={setTitle}
            longest={80}
            required
          />
          <Line label={props.words.days} value={days()} onInput={setDays} type="number" required />
          <fieldset class="scopes">
            <legend>{props.words.scopes}</legend>
            <For each={SCOPES}>
              {(scope) => (
                <label>
                  <input
                    type="checkbox"
                    checked={scopes().includes(scope)}
                    onInput={(event) =>
                      setScopes(
                        event.currentTarget.checked
                          ? [...scopes(), scope]
                          : scopes().filter((one) => one !== scope),
                      )
                    }
                  />
                  {scope}
                </label>
              )}
            </For>
          </fieldset>
          <button type="submit" class="button">
            {props.words.makeToken}
          </button>
        </form>
      </Show>
    </details>
  );
}
