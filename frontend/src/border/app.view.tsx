/** Root of the border page. */
import { createEffect } from "solid-js";
import type { Manifest } from "../api/models";
import { createFrame, FrameProvider } from "../command/frame";
import { Mark } from "../command/mark";
import { LanguageSwitch, Pages } from "../command/pages.view";
import { Root, wear } from "../command/root.view";
import { startOffline } from "../offline/offline";
import { createView, type View } from "../state/view";

export function App() {
  startOffline();
  const view = createView();
  return <Root view={view} page={(known) => <Page view={view} manifest={known} />} />;
}

function Page(props: { view: View; manifest: () => Manifest }) {
  const frame = createFrame(props.view, props.manifest, false);
  createEffect(() => wear(frame.theme()));
  return (
    <FrameProvider value={frame}>
      <header class="topbar">
        <Mark />
        <Pages current="border" />
        <div class="topbar-end">
          <LanguageSwitch />
        </div>
      </header>
    </FrameProvider>
  );
}
