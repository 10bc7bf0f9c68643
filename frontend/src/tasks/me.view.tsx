/** Who is logged in, what waits on this device, the other pages. */
import { ChevronRight } from "lucide";
import { For, Show } from "solid-js";
import { ask } from "../api/session";
import { Icon } from "../command/icon";
import { LookChoices } from "../command/look.view";
import { useBoard } from "./board";
import { when } from "./due";
import { mapHash } from "./parts.view";

export function Me() {
  const board = useBoard();
  const { say, frame, view } = board;
  const logout = async () => {
    await ask("DELETE", "/api/session");
    location.assign("/login");
  };
  const pages = (): [string, string][] => [
    ["/", frame.words().nav.command],
    ["/analyst", frame.words().nav.analyst],
    ["/border", frame.words().nav.border],
  ];
  return (
    <div class="me">
      <h1>{say().me}</h1>
      <section>
        <h2>{say().account}</h2>
        <Show
          when={board.me()?.access === "accounts" && board.me()}
          fallback={<p>{board.me() ? say().single : "—"}</p>}
        >
          {(info) => (
            <>
              <p>
                <b>{info().title || info().name}</b>
              </p>
              <Show when={board.waiting().length > 0}>
                <p class="dim">{say().logoutWaiting(board.waiting().length)}</p>
              </Show>
              <button type="button" class="act" onClick={logout} disabled={board.away()}>
                {say().logout}
              </button>
            </>
          )}
        </Show>
      </section>
      <section>
        <h2>
          {say().queue} {board.waiting().length > 0 ? board.waiting().length : ""}
        </h2>
        <Show when={board.waiting().length > 0} fallback={<p class="dim">{say().queueNone}</p>}>
          <ul class="queue">
            <For each={board.waiting()}>
              {(one) => (
                <li>
                  <span>{one.title}</span>
                  <time datetime={one.at}>
                    {when(one.at, board.now(), board.zone(), view.state.lang)}
                  </time>
                </li>
              )}
            </For>
          </ul>
          <Show when={!board.away()}>
            <button type="button" class="act" onClick={() => board.outbox.flush()}>
              {say().queueNow}
            </button>
          </Show>
        </Show>
      </section>
      <section class="me-look">
        <h2>{frame.words().look}</h2>
        <LookChoices />
      </section>
      <section>
        <h2>{say().pages}</h2>
        <ul class="page-links">
          <For each={pages()}>
            {([address, name]) => (
              <li>
                <a href={address + mapHash(board)}>
                  {name}
                  <Icon node={ChevronRight} size={20} />
                </a>
              </li>
            )}
          </For>
        </ul>
      </section>
    </div>
  );
}
