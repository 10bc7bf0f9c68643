/** The wall (being built). */
import { MapPane } from "./map-pane.view";

export function WallView(_props: { lost: boolean }) {
  return <MapPane onReady={() => {}} onSelect={() => {}} onDrill={() => {}} />;
}
