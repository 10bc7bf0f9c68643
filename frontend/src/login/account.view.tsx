/** One's own account: password, one-time codes, open sessions, the way out. */
import { createResource, createSignal, For, Show } from "solid-js";
import {
  ask,
  type NewCodes,
  type OpenSession,
  type Refusal,
  type SessionInfo,
  type Ways,
} from "../api/session";
import type { Lang } from "../state/hash";
import { Field, Password, Problem, said } from "./parts.view";
import type { Words } from "./words";

interface Props {
  words: Words;
  lang: Lang;
  ways: Ways;
}

/** Ask, and go to the login page when the session is over. */
async function mine<T>(method: string, address: string, body?: unknown) {
  const found = await ask<T>(method, address, body);
  if (found.refusal?.code === "login_needed") location.replace("/login");
  return found;
}

export function AccountView(props: Props) {
  const [me, { refetch }] = createResource(() => mine<SessionInfo>("GET", "/api/session"));
  const [open, { refetch: look }] = createResource(() =>
    mine<OpenSession[]>("GET", "/api/session/all"),
  );
  const again = () => {
    refetch();
    look();
  };
  const time = (text: string) =>
    new Date(text).toLocaleString(props.lang === "zh" ? "zh-CN" : "en-GB");
  const sees = (info: SessionInfo) => {
    if (info.prefixes === "all") return props.words.everything;
    return info.prefixes.join(" ") || props.words.nothing;
  };
  const logout = async () => {
    await ask("DELETE", "/api/session");
    location.replace("/login");
  };
  return (
    <Show when={me()?.answer}>
      {(info) => (
        <>
          <h1>{info().title || info().name}</h1>
          <dl class="facts">
            <dt>{props.words.name}</dt>
            <dd>{info().name}</dd>
            <dt>{props.words.role}</dt>
            <dd>{info().role}</dd>
            <dt>{props.words.sees}</dt>
            <dd>{sees(info())}</dd>
          </dl>
          <div class="ways">
            <a class="button" href="/">
              {props.words.back}
            </a>
            <Show when={info().actions.some((one) => one === "administer" || one === "read_audit")}>
              <a class="button" href="/admin">
                {props.words.admin}
              </a>
            </Show>
            <button type="button" class="button button-primary" onClick={logout}>
              {props.words.logout}
            </button>
          </div>
          <Show when={info().has_password}>
            <PasswordForm {...props} onDone={again} />
            <CodesForm {...props} on={info().has_codes} onDone={again} />
          </Show>
          <h2>{props.words.sessions}</h2>
          <ul class="open">
            <For each={open()?.answer}>
              {(one) => (
                <li>
                  <span>
                    {one.present ? `${props.words.thisOne} · ` : ""}
                    {props.words.since(time(one.seen_at))}
                    <span class="note">{one.client}</span>
                  </span>
                  <Show when={!one.present}>
                    <button
                      type="button"
                      class="button"
                      onClick={async () => {
                        await mine("DELETE", `/api/session/all/${one.id}`);
                        look();
                      }}
                    >
                      {props.words.end}
                    </button>
                  </Show>
                </li>
              )}
            </For>
          </ul>
        </>
      )}
    </Show>
  );
}

function PasswordForm(props: Props & { onDone: () => void }) {
  const [present, setPresent] = createSignal("");
  const [fresh, setFresh] = createSignal("");
  const [text, setText] = createSignal<string>();
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const { refusal } = await mine("PUT", "/api/session/password", {
      password: present(),
      new_password: fresh(),
    });
    setText(refusal ? said(props.words, refusal) : props.words.changed);
    if (refusal) return;
    setPresent("");
    setFresh("");
    props.onDone();
  };
  return (
    <details>
      <summary>{props.words.changePassword}</summary>
      <form method="post" action="/login" onSubmit={submit}>
        <Password
          words={props.words}
          label={props.words.present}
          value={present()}
          onInput={setPresent}
          autocomplete="current-password"
        />
        <Password
          words={props.words}
          label={props.words.newPassword}
          value={fresh()}
          onInput={setFresh}
          autocomplete="new-password"
          note={props.words.rule(props.ways.password_length)}
        />
        <Problem text={text()} />
        <button type="submit" class="button">
          {props.words.change}
        </button>
      </form>
    </details>
  );
}

function CodesForm(props: Props & { on: boolean; onDone: () => void }) {
  const [password, setPassword] = createSignal("");
  const [code, setCode] = createSignal("");
  const [begun, setBegun] = createSignal<NewCodes>();
  const [recovery, setRecovery] = createSignal<string[]>([]);
  const [text, setText] = createSignal<string>();
  const refused = (refusal: Refusal | undefined) => {
    setText(refusal ? said(props.words, refusal) : undefined);
    setCode("");
    return refusal !== undefined;
  };
  const begin = async () => {
    const found = await mine<NewCodes>("POST", "/api/session/codes", { password: password() });
    if (!refused(found.refusal)) setBegun(found.answer);
  };
  const confirm = async () => {
    const found = await mine<{ codes: string[] }>("PUT", "/api/session/codes", { code: code() });
    if (found.refusal) {
      setText(props.words.errors.wrong_login);
      return;
    }
    setRecovery(found.answer?.codes ?? []);
    setBegun(undefined);
    setPassword("");
    refused(undefined);
    props.onDone();
  };
  const end = async () => {
    const body = { password: password(), code: code() };
    if (refused((await mine("POST", "/api/session/codes/off", body)).refusal)) return;
    setPassword("");
    setRecovery([]);
    props.onDone();
  };
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    if (props.on) end();
    else if (begun()) confirm();
    else begin();
  };
  const act = () => {
    if (props.on) return props.words.codesEnd;
    return begun() ? props.words.confirm : props.words.codesBegin;
  };
  return (
    <details>
      <summary>{props.words.codes}</summary>
      <p class="lead">{props.on ? props.words.codesOn : props.words.codesOff}</p>
      <Show when={recovery().length > 0}>
        <p class="lead">{props.words.recovery}</p>
        <ul class="recovery">
          <For each={recovery()}>{(one) => <li>{one}</li>}</For>
        </ul>
      </Show>
      <form method="post" action="/login" onSubmit={submit}>
        <Show
          when={begun()}
          fallback={
            <Password
              words={props.words}
              label={props.words.present}
              value={password()}
              onInput={setPassword}
              autocomplete="current-password"
            />
          }
        >
          {(found) => (
            <>
              <p class="lead">{props.words.scan}</p>
              <img
                class="qr"
                alt={props.words.qr}
                src={`data:image/svg+xml,${encodeURIComponent(found().qr)}`}
              />
              <code class="secret">{found().secret}</code>
            </>
          )}
        </Show>
        <Show when={begun() || props.on}>
          <Field
            label={props.words.code}
            value={code()}
            onInput={setCode}
            autocomplete="one-time-code"
          />
        </Show>
        <Problem text={text()} />
        <button type="submit" class="button">
          {act()}
        </button>
      </form>
    </details>
  );
}
