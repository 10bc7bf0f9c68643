/** The form: name and password, then what the account asks for beside them; or a link's password. */
import { createSignal, For, Show } from "solid-js";
import { ask, type Refusal, type Ways } from "../api/session";
import type { Lang } from "../state/hash";
import { Field, Password, Problem, said } from "./parts.view";
import type { Words } from "./words";

interface Props {
  words: Words;
  lang: Lang;
  ways: Ways;
  /** Secret of a one-time link; empty: an ordinary login. */
  link: string;
  /** Reason in the address, from a provider. */
  error: string;
  next: string;
  onIn: () => void;
}

export function LoginView(props: Props) {
  const [name, setName] = createSignal("");
  const [password, setPassword] = createSignal("");
  const [code, setCode] = createSignal("");
  const [fresh, setFresh] = createSignal("");
  const [again, setAgain] = createSignal("");
  const [asked, setAsked] = createSignal({ code: false, fresh: props.link !== "" });
  const [busy, setBusy] = createSignal(false);
  const [trouble, setTrouble] = createSignal<Refusal | "unequal" | undefined>(
    props.error ? { code: props.error, message: "", seconds: 0 } : undefined,
  );
  const linked = () => props.link !== "";
  const problem = () => {
    const now = trouble();
    if (now === undefined) return undefined;
    return now === "unequal" ? props.words.unequal : said(props.words, now);
  };

  const send = () =>
    linked()
      ? ask("POST", "/api/session/link", { link: props.link, password: fresh() })
      : ask("POST", "/api/session", {
          name: name(),
          password: password(),
          ...(asked().code ? { code: code() } : {}),
          ...(asked().fresh ? { new_password: fresh() } : {}),
        });

  const refused = (refusal: Refusal) => {
    if (refusal.code === "password_expired") setAsked({ ...asked(), fresh: true });
    if (refusal.code === "code_needed") setAsked({ ...asked(), code: true });
    setCode("");
    const wrongLink = linked() && refusal.code === "wrong_login";
    setTrouble(wrongLink ? { ...refusal, code: "link_gone" } : refusal);
    if (refusal.code === "password_expired") setTrouble(undefined);
  };

  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    if (busy()) return;
    if (asked().fresh && fresh() !== again()) {
      setTrouble("unequal");
      return;
    }
    setBusy(true);
    setTrouble(undefined);
    const { refusal } = await send();
    setBusy(false);
    if (refusal) refused(refusal);
    else props.onIn();
  };

  return (
    <>
      <h1>{linked() ? props.words.linkTitle : props.words.title}</h1>
      <Show when={linked()}>
        <p class="lead">{props.words.linkText}</p>
      </Show>
      <form method="post" action="/login" onSubmit={submit}>
        <Show when={!linked()}>
          <Field
            label={props.words.name}
            value={name()}
            onInput={setName}
            autocomplete="username"
            focus
          />
          <Password
            words={props.words}
            label={props.words.password}
            value={password()}
            onInput={setPassword}
            autocomplete="current-password"
          />
        </Show>
        <Show when={asked().fresh}>
          <Show when={!linked()}>
            <p class="lead">{props.words.expired}</p>
          </Show>
          <Password
            words={props.words}
            label={props.words.newPassword}
            value={fresh()}
            onInput={setFresh}
            autocomplete="new-password"
            note={props.words.rule(props.ways.password_length)}
            focus
          />
          <Password
            words={props.words}
            label={props.words.repeat}
            value={again()}
            onInput={setAgain}
            autocomplete="new-password"
          />
        </Show>
        <Show when={asked().code}>
          <Field
            label={props.words.code}
            value={code()}
            onInput={setCode}
            autocomplete="one-time-code"
            note={props.words.codeNote}
            inputmode="text"
            focus
          />
        </Show>
        <Problem text={problem()} />
        <button type="submit" class="button button-primary wide" aria-busy={busy()}>
          {busy() ? props.words.working : linked() ? props.words.setPassword : props.words.login}
        </button>
      </form>
      <Show when={!linked() && props.ways.providers.length > 0}>
        <p class="or">{props.words.other}</p>
        <For each={props.ways.providers}>
          {(one) => (
            <a class="button wide" href={`${one.login}?next=${encodeURIComponent(props.next)}`}>
              {props.words.at(one.title[props.lang])}
            </a>
          )}
        </For>
      </Show>
      <p class="note foot">{props.words.deskOnly}</p>
    </>
  );
}
