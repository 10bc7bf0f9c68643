/** Areas brought from elsewhere: a file, or pasted WKT, GeoJSON or coordinates in a declared CRS. */
import { X } from "lucide";
import { createSignal, For, Show } from "solid-js";
import { type AreaBody, analysis, type ShapeInfo } from "../api/analysis";
import { Failure } from "../api/client";
import { useFrame } from "../command/frame";
import { Icon } from "../command/icon";
import { readPasted } from "../draw/paste";
import type { Area, Ring, Shape } from "../draw/shapes";
import { plain, useAsk } from "./ask";

const CRS = ["wgs84", "cgcs2000", "gcj02", "bd09"];

export function Bring(props: { way: "upload" | "paste"; onClose: () => void; onLook: () => void }) {
  const ask = useAsk();
  const say = ask.say;
  const { words, map } = useFrame();
  const [crs, setCrs] = createSignal("");
  const [text, setText] = createSignal("");
  const [busy, setBusy] = createSignal(false);
  const [troubles, setTroubles] = createSignal<string[]>([]);

  const take = (found: Area[]) => {
    if (found.length === 0) return;
    const areas = plain(ask.view.state.areas);
    ask.put([...areas, ...found], areas.length);
    ask.setHand("move");
    queueMicrotask(props.onLook);
    if (troubles().length === 0) props.onClose();
  };
  const area = (name: string, info: ShapeInfo): Area => ({
    name,
    shape: { kind: "polygon", parts: info.geojson.coordinates as Ring[][] },
  });
  const told = (error: unknown): string => {
    if (!(error instanceof Failure)) return String(error);
    const detail = error.detail as { reason?: string } | null;
    return say().shapeFault[detail?.reason ?? ""] ?? error.message;
  };
  const upload = async (file: File | undefined) => {
    if (!file) return;
    setBusy(true);
    setTroubles([]);
    try {
      const found = await analysis.upload(map().pack, file, crs());
      const bad = found.shapes.filter((one) => !one.shape);
      setTroubles(bad.map((one) => `${one.name}: ${one.reason?.[ask.view.state.lang] ?? ""}`));
      take(found.shapes.flatMap((one) => (one.shape ? [area(one.name, one.shape)] : [])));
    } catch (error) {
      setTroubles([told(error)]);
    }
    setBusy(false);
  };
  const paste = async () => {
    const read = readPasted(text());
    if ("error" in read) {
      setTroubles([say().pasteFault[read.error] + (read.place ? `: ${read.place}` : "")]);
      return;
    }
    const body: AreaBody =
      "circle" in read
        ? { circle: { lon: read.circle[0], lat: read.circle[1], metres: 500 } }
        : read;
    setBusy(true);
    setTroubles([]);
    try {
      const info = await analysis.shape(map().pack, { ...body, crs: crs() || "wgs84" });
      const made: Shape =
        "circle" in read && (crs() || "wgs84") === "wgs84"
          ? { kind: "circle", centre: read.circle, metres: 500 }
          : area("", info).shape;
      take([{ name: "", shape: made }]);
    } catch (error) {
      setTroubles([told(error)]);
    }
    setBusy(false);
  };
  return (
    <section class="bring floating" aria-label={say()[props.way]}>
      <h2>
        {say()[props.way]}
        <button
          type="button"
          class="icon-button end"
          title={words().close}
          aria-label={words().close}
          onClick={props.onClose}
        >
          <Icon node={X} />
        </button>
      </h2>
      <label>
        {say().crs}
        <select value={crs()} onChange={(event) => setCrs(event.currentTarget.value)}>
          <Show when={props.way === "upload"}>
            <option value="">{say().crsOfFile}</option>
          </Show>
          <For each={CRS}>{(one) => <option value={one}>{say().crsNames[one]}</option>}</For>
        </select>
      </label>
      <Show
        when={props.way === "paste"}
        fallback={
          <label class="file">
            <span>{say().uploadText}</span>
            <input
              type="file"
              accept=".geojson,.json,.kml,.gpkg,.zip"
              disabled={busy()}
              onChange={(event) => upload(event.currentTarget.files?.[0])}
            />
          </label>
        }
      >
        <textarea
          rows="6"
          spellcheck={false}
          aria-label={say().paste}
          placeholder={say().pasteText}
          value={text()}
          onInput={(event) => setText(event.currentTarget.value)}
        />
        <button type="button" class="button button-primary" disabled={busy()} onClick={paste}>
          {say().take}
        </button>
      </Show>
      <For each={troubles()}>{(one) => <p role="alert">{one}</p>}</For>
    </section>
  );
}
