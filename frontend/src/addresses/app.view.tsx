/** Root of the page of addresses. */
import { createEffect } from "solid-js";
import type { Manifest } from "../api/models";
import { createFrame, FrameProvider } from "../command/frame";
import { Root, wear } from "../command/root.view";
import { createView, type View } from "../state/view";
import { createReview, ReviewProvider } from "./model";
import { Page } from "./page.view";
import { type AddressState, parse, serialise } from "./state";

export function App() {
  const view = createView<AddressState>({ parse, serialise });
  return (
    <Root
      view={view}
      page={(known, lost) => <Queue view={view} manifest={known} lost={lost()} />}
    />
  );
}

function Queue(props: { view: View<AddressState>; manifest: () => Manifest; lost: boolean }) {
  const frame = createFrame(props.view, props.manifest, false);
  const review = createReview(frame, props.view);
  createEffect(() => {
    const root = document.documentElement;
    wear(frame.theme());
    root.dataset.pattern = String(props.view.state.pattern);
    root.dataset.layout = "addresses";
    document.title = `${review.say().page} · ${frame.title(frame.map().title)} · ${frame.words().product}`;
  });
  return (
    <FrameProvider value={frame}>
      <ReviewProvider value={review}>
        <Page lost={props.lost} />
      </ReviewProvider>
    </FrameProvider>
  );
}
