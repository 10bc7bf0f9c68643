/** Root of the border page. */
import { createEffect, Show } from "solid-js";
import type { Manifest } from "../api/models";
import { createFrame, FrameProvider } from "../command/frame";
import { Pages } from "../command/pages.view";
import { Root, wear } from "../command/root.view";
import { WhoAmI } from "../command/whoami.view";
import { startOffline } from "../offline/offline";
import { createView, type View } from "../state/view";
import { BorderDesk } from "./desk.view";
import { BorderProvider, createBorder } from "./model";
import { type BorderState, parse, serialise } from "./state";

export function App() {
  startOffline();
  const view = createView<BorderState>({ parse, serialise });
  return <Root view={view} page={(known) => <Page view={view} manifest={known} />} />;
}

function Page(props: { view: View<BorderState>; manifest: () => Manifest }) {
  const frame = createFrame(props.view, props.manifest, false);
  const border = createBorder(frame, props.view);
  createEffect(() => {
    const root = document.documentElement;
    wear(frame.theme());
    root.dataset.pattern = String(props.view.state.pattern);
    root.dataset.layout = "border";
    document.title = `${border.say().page} · ${frame.title(frame.map().title)} · ${frame.words().product}`;
  });
  const refused = () => border.session.value() !== undefined && !border.may("border:read");
  return (
    <FrameProvider value={frame}>
      <BorderProvider value={border}>
        <Show when={!refused()} fallback={<NoRight />}>
          <BorderDesk />
        </Show>
      </BorderProvider>
    </FrameProvider>
  );

  function NoRight() {
    return (
      <div class="blank state">
        <h1>{border.say().noRight}</h1>
        <p>{border.say().noRightText}</p>
        <Pages current="border" />
        <WhoAmI />
      </div>
    );
  }
}
