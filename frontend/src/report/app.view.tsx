/** Root of the report page. */
import { createEffect } from "solid-js";
import type { Manifest } from "../api/models";
import { createFrame, FrameProvider } from "../command/frame";
import { Root, wear } from "../command/root.view";
import { createView, type View } from "../state/view";
import { createReport, ReportProvider } from "./model";
import { Sheet } from "./sheet.view";
import { parse, type ReportState, serialise } from "./state";

export function App() {
  const view = createView<ReportState>({ parse, serialise });
  return (
    <Root view={view} page={(known, lost) => <Page view={view} manifest={known} lost={lost()} />} />
  );
}

function Page(props: { view: View<ReportState>; manifest: () => Manifest; lost: boolean }) {
  const frame = createFrame(props.view, props.manifest, false);
  const report = createReport(frame, props.view);
  createEffect(() => {
    const root = document.documentElement;
    wear(frame.theme());
    root.dataset.pattern = String(props.view.state.pattern);
    root.dataset.layout = "desk";
    document.title = `${report.say().page} · ${report.cardName()} · ${frame.words().product}`;
  });
  return (
    <FrameProvider value={frame}>
      <ReportProvider value={report}>
        <Sheet lost={props.lost} />
      </ReportProvider>
    </FrameProvider>
  );
}
