/** Keep the active area under a name, with purpose, scope and last day. */
import { Bookmark } from "lucide";
import { createSignal, Show } from "solid-js";
import { bodyOf, savedAreas } from "../api/analysis";
import { Failure } from "../api/client";
import { useFrame } from "../command/frame";
import { Icon } from "../command/icon";
import { plain, useAsk } from "./ask";
import { addMonths } from "./days";
import { Menu } from "./menu.view";

export function SaveMenu() {
  const ask = useAsk();
  const say = ask.say;
  const { map } = useFrame();
  const [trouble, setTrouble] = createSignal("");
  const [busy, setBusy] = createSignal(false);
  const today = () => new Date().toISOString().slice(0, 10);

  const submit = async (event: SubmitEvent, close: () => void) => {
    event.preventDefault();
    const area = ask.active();
    if (!area) return;
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const text = (name: string) => String(form.get(name) ?? "").trim();
    setBusy(true);
    setTrouble("");
    try {
      await savedAreas.save({
        pack: map().pack,
        name: text("name"),
        purpose: text("purpose"),
        scope: text("scope") === "jurisdiction" ? "jurisdiction" : "private",
        expires_on: text("expires_on"),
        area: bodyOf(plain(area.shape)),
      });
      const areas = plain(ask.view.state.areas);
      const one = areas[ask.view.state.active];
      if (one) one.name = text("name").replaceAll("*", " ");
      ask.view.go({ areas, tab: "saved" });
      ask.savedChanged();
      close();
    } catch (error) {
      setTrouble(error instanceof Failure ? error.message : String(error));
    }
    setBusy(false);
  };
  return (
    <Menu
      name="save"
      label=""
      end
      value={
        <span class="menu-icon">
          <Icon node={Bookmark} />
          {say().save}
        </span>
      }
    >
      {(close) => (
        <form class="menu-list save-form" onSubmit={(event) => submit(event, close)}>
          <label>
            {say().name}
            <input name="name" required maxlength="80" value={ask.active()?.name ?? ""} />
          </label>
          <label>
            {say().purpose}
            <input name="purpose" required maxlength="200" />
          </label>
          <label>
            {say().scope}
            <select name="scope">
              <option value="private">{say().scopes.private}</option>
              <option value="jurisdiction">{say().scopes.jurisdiction}</option>
            </select>
          </label>
          <label>
            {say().expires}
            <input
              type="date"
              name="expires_on"
              required
              min={today()}
              max={addMonths(today(), 24)}
              value={addMonths(today(), 6)}
            />
          </label>
          <p class="note">{say().saveNote}</p>
          <Show when={trouble()}>
            <p role="alert">{trouble()}</p>
          </Show>
          <button type="submit" class="button button-primary" disabled={busy() || !ask.active()}>
            {say().save}
          </button>
        </form>
      )}
    </Menu>
  );
}
