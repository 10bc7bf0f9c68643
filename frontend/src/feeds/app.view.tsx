/** Root of the page of feeds. */
import { createEffect } from "solid-js";
import type { Manifest } from "../api/models";
import { createFrame, FrameProvider } from "../command/frame";
import { Root, wear } from "../command/root.view";
import { createView, type View } from "../state/view";
import { createFeeds, FeedsProvider } from "./model";
import { Page } from "./page.view";
import { type FeedsState, parse, serialise } from "./state";

export function App() {
  const view = createView<FeedsState>({ parse, serialise });
  return (
    <Root
      view={view}
      page={(known, lost) => <Feeds view={view} manifest={known} lost={lost()} />}
    />
  );
}

function Feeds(props: { view: View<FeedsState>; manifest: () => Manifest; lost: boolean }) {
  const frame = createFrame(props.view, props.manifest, false);
  const feeds = createFeeds(frame, props.view);
  createEffect(() => {
    const root = document.documentElement;
    wear(frame.theme());
    root.dataset.pattern = String(props.view.state.pattern);
    root.dataset.layout = "feeds";
    document.title = `${feeds.say().page} · ${frame.title(frame.map().title)} · ${frame.words().product}`;
  });
  return (
    <FrameProvider value={frame}>
      <FeedsProvider value={feeds}>
        <Page lost={props.lost} />
      </FeedsProvider>
    </FrameProvider>
  );
}
