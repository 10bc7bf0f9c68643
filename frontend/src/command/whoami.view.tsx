/** Who is logged in, and the way out; nothing at all on a single machine. */
import { Show } from "solid-js";
import { ask } from "../api/session";
import { useFrame } from "./frame";
import { session } from "./me";

export function WhoAmI() {
  const words = useFrame().words;
  const logout = async () => {
    await ask("DELETE", "/api/session");
    location.assign("/login");
  };
  const shown = () => {
    const info = session();
    return info?.access === "accounts" ? info : undefined;
  };
  return (
    <Show when={shown()}>
      {(info) => (
        <span class="whoami">
          <a class="link" href="/login#me" title={words().account}>
            {info().title || info().name}
          </a>
          <button type="button" class="link" onClick={logout}>
            {words().logout}
          </button>
        </span>
      )}
    </Show>
  );
}
