/** Root of the analyst's page. */
import { createEffect } from "solid-js";
import type { Manifest } from "../api/models";
import { createFrame, FrameProvider } from "../command/frame";
import { Root, wear } from "../command/root.view";
import { createView, type View } from "../state/view";
import { AskProvider, createAsk } from "./ask";
import { Bench } from "./bench.view";
import { type AnalystState, parse, serialise } from "./state";

export function App() {
  const view = createView<AnalystState>({ parse, serialise });
  return (
    <Root view={view} page={(known, lost) => <Page view={view} manifest={known} lost={lost()} />} />
  );
}

function Page(props: { view: View<AnalystState>; manifest: () => Manifest; lost: boolean }) {
  const frame = createFrame(props.view, props.manifest, false);
  const ask = createAsk(frame, props.view);
  createEffect(() => {
    const root = document.documentElement;
    wear(frame.theme());
    root.dataset.pattern = String(props.view.state.pattern);
    root.dataset.layout = "desk";
    document.title = `${ask.say().page} · ${frame.title(frame.map().title)} · ${frame.words().product}`;
  });
  return (
    <FrameProvider value={frame}>
      <AskProvider value={ask}>
        <Bench lost={props.lost} />
      </AskProvider>
    </FrameProvider>
  );
}
