/** What leaves the house: the answer as a file of the reader's choice, the map as a picture. */
import { Download } from "lucide";
import { createSignal, For, Show } from "solid-js";
import { type ExportFormat, exportArea } from "../api/analysis";
import { Failure } from "../api/client";
import { useFrame } from "../command/frame";
import { Icon } from "../command/icon";
import { letter, useAsk } from "./ask";
import { download } from "./download";
import { Menu } from "./menu.view";
import { pictureOf } from "./picture";

const FORMATS: readonly ExportFormat[] = [
  "csv",
  "gpkg",
  "geojson",
  "parquet",
  "html",
  "pdf",
  "report.html",
];

export function ExportMenu() {
  const ask = useAsk();
  const say = ask.say;
  const { map } = useFrame();
  const [busy, setBusy] = createSignal("");
  const [trouble, setTrouble] = createSignal("");
  const title = () => {
    const name = ask.active()?.name;
    return name || say().area(letter(ask.view.state.active));
  };
  const run = async (what: string, make: () => Promise<void>) => {
    setBusy(what);
    setTrouble("");
    try {
      await make();
    } catch (error) {
      setTrouble(error instanceof Failure ? error.message : String(error));
    }
    setBusy("");
  };
  const file = (format: ExportFormat) =>
    run(format, async () => {
      const question = ask.question();
      if (!question) return;
      const made = await exportArea(map().pack, {
        ...question,
        format,
        lang: ask.view.state.lang,
        title: title(),
      });
      download(made.name, made.file);
    });
  const picture = () =>
    run("png", async () => {
      download(`wusetu-${map().pack}-${ask.span().from}.png`, await pictureOf(ask));
    });
  return (
    <Menu
      name="export"
      label=""
      end
      value={
        <span class="menu-icon">
          <Icon node={Download} />
          {say().export}
        </span>
      }
    >
      {() => (
        <div class="menu-list exports">
          <For each={FORMATS}>
            {(format) => (
              <button
                type="button"
                class="menu-item"
                data-format={format}
                disabled={!ask.question() || busy() !== ""}
                onClick={() => file(format)}
              >
                {say().formats[format]}
                <small>{busy() === format ? say().making : say().formatNotes[format]}</small>
              </button>
            )}
          </For>
          <button
            type="button"
            class="menu-item"
            data-format="png"
            disabled={busy() !== ""}
            onClick={picture}
          >
            {say().formats.png}
            <small>{busy() === "png" ? say().making : say().formatNotes.png}</small>
          </button>
          <p class="note">{say().exportNote}</p>
          <Show when={trouble()}>
            <p role="alert">{trouble()}</p>
          </Show>
        </div>
      )}
    </Menu>
  );
}
