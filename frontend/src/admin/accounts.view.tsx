/** Accounts: who there is, new ones, roles and jurisdictions, one-time links, tokens. */
import { createResource, createSignal, For, Show } from "solid-js";
import type { components } from "../api/types.gen";
import type { Lang } from "../state/hash";
import { Choice, clock, Line, mine, Once, said } from "./parts.view";
import { jurisdiction, spelt } from "./prefixes";
import { TokensView } from "./tokens.view";
import type { AdminWords } from "./words";

type Schemas = components["schemas"];
type Account = Schemas["AccountInfo"];

interface Props {
  words: AdminWords;
  lang: Lang;
}

interface Shown {
  name: string;
  link: string;
}

export function AccountsView(props: Props) {
  const [list, { refetch }] = createResource(() => mine<Account[]>("GET", "/api/accounts"));
  const [link, setLink] = createSignal<Shown>();
  const [problem, setProblem] = createSignal<string>();
  const act = async <T,>(method: string, address: string, body?: unknown) => {
    setProblem(undefined);
    const found = await mine<T>(method, address, body);
    if (found.refusal) setProblem(said(props.words, found.refusal));
    else refetch();
    return found;
  };
  const renew = async (one: Account) => {
    const made = await act<Schemas["LinkInfo"]>("POST", `/api/accounts/${one.id}/link`);
    if (made.answer) setLink({ name: one.name, link: made.answer.link });
  };
  return (
    <section class="card accounts">
      <h1>{props.words.title}</h1>
      <Show when={link()}>
        {(shown) => (
          <Once
            words={props.words}
            label={props.words.linkFor(shown().name)}
            secret={shown().link}
            onClose={() => setLink(undefined)}
          />
        )}
      </Show>
      <p class="problem" role="alert">
        {problem()}
      </p>
      <NewAccount {...props} act={act} onMade={setLink} />
      <ul class="open">
        <For each={list.latest?.answer} fallback={<li>{props.words.none}</li>}>
          {(one) => (
            <li aria-label={one.name}>
              <div class="who">
                <b>{one.name}</b>
                <span>{one.title}</span>
                <span class="note">
                  {[
                    props.words.kinds[one.kind],
                    props.words.roles[one.role],
                    seen(props.words, one.prefixes),
                    one.external ? props.words.external : "",
                    one.has_password || one.external ? "" : props.words.noPassword,
                    one.locked_until ? props.words.locked(clock(props.lang, one.locked_until)) : "",
                  ]
                    .filter(Boolean)
                    .join(" · ")}
                </span>
                <Show when={one.disabled_at}>
                  <strong>{props.words.disabled}</strong>
                </Show>
              </div>
              <div class="ways">
                <button type="button" class="button" onClick={() => renew(one)}>
                  {props.words.newLink}
                </button>
                <Show when={one.locked_until}>
                  <button
                    type="button"
                    class="button"
                    onClick={() => act("POST", `/api/accounts/${one.id}/unlock`)}
                  >
                    {props.words.unlock}
                  </button>
                </Show>
                <button
                  type="button"
                  class="button"
                  onClick={() => act("DELETE", `/api/accounts/${one.id}/sessions`)}
                >
                  {props.words.endSessions}
                </button>
                <button
                  type="button"
                  class="button"
                  onClick={() =>
                    act("PATCH", `/api/accounts/${one.id}`, { disabled: !one.disabled_at })
                  }
                >
                  {one.disabled_at ? props.words.enable : props.words.disable}
                </button>
              </div>
              <Change {...props} one={one} act={act} />
              <TokensView {...props} account={one.id} kind={one.kind} />
            </li>
          )}
        </For>
      </ul>
    </section>
  );
}

function seen(words: AdminWords, prefixes: Account["prefixes"]): string {
  if (prefixes === "all") return words.everything;
  return prefixes.join(" ") || words.nothing;
}

type Act = <T>(
  method: string,
  address: string,
  body?: unknown,
) => Promise<{ answer?: T; refusal?: unknown }>;

function roles(words: AdminWords): [string, string][] {
  return Object.entries(words.roles);
}

function NewAccount(props: Props & { act: Act; onMade: (made: Shown) => void }) {
  const [name, setName] = createSignal("");
  const [title, setTitle] = createSignal("");
  const [kind, setKind] = createSignal("desk");
  const [role, setRole] = createSignal("viewer");
  const [sees, setSees] = createSignal("");
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const { answer } = await props.act<Schemas["MadeAccount"]>("POST", "/api/accounts", {
      name: name(),
      title: title(),
      kind: kind(),
      role: role(),
      prefixes: jurisdiction(sees()),
    });
    if (!answer) return;
    props.onMade({ name: answer.account.name, link: answer.link.link });
    for (const clear of [setName, setTitle, setSees]) clear("");
  };
  return (
    <details>
      <summary>{props.words.make}</summary>
      <form method="post" action="/admin" onSubmit={submit}>
        <Line
          label={props.words.name}
          value={name()}
          onInput={setName}
          note={props.words.nameNote}
          required
        />
        <Line label={props.words.accountTitle} value={title()} onInput={setTitle} longest={80} />
        <Choice
          label={props.words.kind}
          value={kind()}
          onInput={setKind}
          of={Object.entries(props.words.kinds)}
        />
        <Choice label={props.words.role} value={role()} onInput={setRole} of={roles(props.words)} />
        <Line
          label={props.words.sees}
          value={sees()}
          onInput={setSees}
          note={props.words.seesNote}
          longest={4000}
        />
        <button type="submit" class="button button-primary">
          {props.words.create}
        </button>
      </form>
    </details>
  );
}

function Change(props: Props & { one: Account; act: Act }) {
  const [title, setTitle] = createSignal(props.one.title);
  const [role, setRole] = createSignal<string>(props.one.role);
  const [sees, setSees] = createSignal(spelt(props.one.prefixes));
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    // only what is other than before: nobody else's change is taken back
    const prefixes = jurisdiction(sees());
    props.act("PATCH", `/api/accounts/${props.one.id}`, {
      ...(title() === props.one.title ? {} : { title: title() }),
      ...(role() === props.one.role ? {} : { role: role() }),
      ...(spelt(prefixes) === spelt(props.one.prefixes) ? {} : { prefixes }),
    });
  };
  return (
    <details>
      <summary>{props.words.change}</summary>
      <form method="post" action="/admin" onSubmit={submit}>
        <Line label={props.words.accountTitle} value={title()} onInput={setTitle} longest={80} />
        <Choice label={props.words.role} value={role()} onInput={setRole} of={roles(props.words)} />
        <Line
          label={props.words.sees}
          value={sees()}
          onInput={setSees}
          note={props.words.seesNote}
          longest={4000}
        />
        <button type="submit" class="button">
          {props.words.save}
        </button>
      </form>
    </details>
  );
}
