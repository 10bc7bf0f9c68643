/** What the border page knows and does; views read it and nothing else. */
import {
  type Accessor,
  createContext,
  createMemo,
  createSignal,
  onCleanup,
  useContext,
} from "solid-js";
import type { SessionInfo } from "../api/session";
import type { Frame } from "../command/frame";
import { away } from "../offline/offline";
import { createOutbox, type Outbox } from "../offline/outbox";
import { ownerOf } from "../offline/queue";
import type { View } from "../state/view";
import { createKept, type Kept } from "./kept";
import { createLive, type Live, type LiveEvent } from "./live";
import { currentPeriod } from "./periods";
import { createPlace, type Here } from "./place";
import { createPresence, type PresenceNow } from "./presence";
import { type BorderState, type Open, openOf, openText } from "./state";
import type {
  BorderLines,
  Check,
  CheckList,
  Checkpoint,
  Cluster,
  Desk,
  DeviceList,
  PooledClusters,
  PooledList,
  PooledRun,
  ZoneList,
} from "./types";
import { type Say, wordsOf } from "./words";

export interface Border {
  frame: Frame;
  view: View<BorderState>;
  say: Accessor<Say>;
  session: Kept<SessionInfo>;
  lines: Kept<BorderLines>;
  zones: Kept<ZoneList>;
  checks: Kept<CheckList>;
  desks: Kept<Desk[]>;
  checkpoints: Kept<Checkpoint[]>;
  devices: Kept<DeviceList>;
  runs: Kept<PooledList>;
  run: Accessor<PooledRun | undefined>;
  clusters: Accessor<readonly Cluster[]>;
  clustersKept: Kept<PooledClusters>;
  live: Live;
  presence: PresenceNow;
  outbox: Outbox;
  here: Here;
  /** The server's time as far as it is known; moves on once a second. */
  now: Accessor<Date>;
  /** The server's time this moment. */
  moment: () => Date;
  /** Whether the account may do something; nothing is known: no. */
  may: (action: string) => boolean;
  /** Codes of the sides one speaks for. */
  own: Accessor<readonly string[]>;
  /** Name of a side, short; its code where only that is known. */
  sideName: (code: string) => string;
  /** What the panel is about. */
  opened: Accessor<Open>;
  open: (open: Open, how?: "push" | "replace") => void;
  close: () => void;
  /** Checks that are not over, those that wait for one's own answer first. */
  running: Accessor<readonly Check[]>;
  /** Own sides that have not answered a check yet. */
  unanswered: (check: Check) => readonly string[];
  /** What was just told to a person: a check that came in, an alarm. */
  notice: Accessor<Notice | null>;
  dismiss: () => void;
  narrow: Accessor<boolean>;
  /** Drawn outline of a zone in the making, and whether the hand draws. */
  draft: Draft;
}

export interface Notice {
  topic: "check" | "alarm";
  id: number;
}

export interface Draft {
  outline: Accessor<GeoJSON.Polygon | null>;
  setOutline: (outline: GeoJSON.Polygon | null) => void;
  drawing: Accessor<boolean>;
  setDrawing: (on: boolean) => void;
}

const Context = createContext<Border>();
export const BorderProvider = Context.Provider;

export function useBorder(): Border {
  const border = useContext(Context);
  if (!border) throw new Error("useBorder outside of its provider");
  return border;
}

const at = encodeURIComponent;
const NARROW = "(max-width: 719px)";

/** Whether a check still runs at a moment; the server says so a little later. */
export function isRunning(check: Check, now: Date): boolean {
  return (check.state === "open" || check.state === "running") && new Date(check.ends_at) > now;
}

export function createBorder(frame: Frame, view: View<BorderState>): Border {
  const pack = () => frame.map().pack;
  const say = createMemo(() => wordsOf(view.state.lang));
  const session = createKept<SessionInfo>(() => "/api/session");
  const may = (action: string) => session.value()?.actions.includes(action as never) ?? false;
  /** Nothing of the border is asked for by who may not read it. */
  const reads = (address: string) => (may("border:read") ? address : null);
  const lines = createKept<BorderLines>(() => reads(`/api/packs/${at(pack())}/border/lines`));
  const zones = createKept<ZoneList>(() => reads(`/api/zones?pack=${at(pack())}`));
  const checks = createKept<CheckList>(() => reads("/api/checks?limit=200"));
  const desks = createKept<Desk[]>(() => reads(`/api/packs/${at(pack())}/border/desks`));
  const checkpoints = createKept<Checkpoint[]>(() =>
    reads(`/api/packs/${at(pack())}/border/checkpoints`),
  );
  const devices = createKept<DeviceList>(() => reads(`/api/devices?pack=${at(pack())}`));
  const runs = createKept<PooledList>(() => reads(`/api/pooled?pack=${at(pack())}`));
  const run = createMemo(() => currentPeriod(runs.value()?.runs ?? [], view.state));
  const clustersKept = createKept<PooledClusters>(() => {
    const one = run();
    return one ? `/api/pooled/${one.id}/clusters` : null;
  });
  const clusters = createMemo(() => clustersOf(clustersKept.value()));

  // the server's clock decides when a check is over; this device's may be wrong
  const ahead = createMemo(() => {
    const [as_of, at] = [checks.value()?.as_of, checks.at()];
    return as_of && at && !checks.kept() ? Date.parse(as_of) - at.getTime() : 0;
  });
  const [now, setNow] = createSignal(new Date());
  const tick = setInterval(() => setNow(new Date(Date.now() + ahead())), 1000);
  onCleanup(() => clearInterval(tick));

  const [narrow, setNarrow] = createSignal(matchMedia(NARROW).matches);
  const media = matchMedia(NARROW);
  const turned = () => setNarrow(media.matches);
  media.addEventListener("change", turned);
  onCleanup(() => media.removeEventListener("change", turned));

  const account = () => ownerOf(session.value());
  const outbox = createOutbox(account, () => {
    checks.reload();
    zones.reload();
  });

  const own = () => lines.value()?.own ?? [];
  const sideName = (code: string) => {
    const named = [...(lines.value()?.sides ?? []), ...(run()?.sides ?? [])];
    const found = named.find((one) => one.code === code);
    return found ? shortName(frame.nameOf(found)) : code;
  };

  const [notice, setNotice] = createSignal<Notice | null>(null);
  const presence = createPresence(
    () => reads(`/api/packs/${at(pack())}/border/presence`),
    () => may("check:write"),
  );
  const all = [lines, zones, checks, desks, checkpoints, devices, runs, clustersKept, presence];
  const hear = ({ topic, data }: LiveEvent) => {
    if (topic === "check") {
      checks.reload();
      if (data.step === "open" && !own().includes(String(data.side))) {
        setNotice({ topic: "check", id: Number(data.check) });
      }
    } else if (topic === "zone") {
      zones.reload();
      desks.reload();
      checkpoints.reload();
    } else if (topic === "device") {
      devices.reload();
    } else if (topic === "alarm") {
      devices.reload();
      if (data.state === "raised") setNotice({ topic: "alarm", id: Number(data.device) });
    } else if (topic === "run") {
      runs.reload();
    } else if (topic === "presence") {
      presence.reload();
    }
  };
  const live = createLive(["run", "zone", "check", "device", "alarm", "presence"], hear, () => {
    for (const one of all) one.reload();
  });

  const unanswered = (check: Check) =>
    check.sides
      .filter((one) => one.answer === null && own().includes(one.side))
      .map((one) => one.side);
  const running = createMemo(
    () =>
      (checks.value()?.checks ?? [])
        .filter((one) => isRunning(one, now()))
        .toSorted((a, b) => Number(unanswered(b).length > 0) - Number(unanswered(a).length > 0)),
    undefined,
    { equals: (a, b) => a.length === b.length && a.every((one, i) => one === b[i]) },
  );

  const [outline, setOutline] = createSignal<GeoJSON.Polygon | null>(null);
  const [drawing, setDrawing] = createSignal(false);
  const open: Border["open"] = (one, how = "push") => {
    setDrawing(false);
    if (one.what !== "zone-new" && one.what !== "zone-change") setOutline(null);
    view.go({ open: openText(one) }, how);
  };
  const here = createPlace(frame, view, lines, { desks, checkpoints, zones, devices }, () =>
    may("border:read"),
  );
  return {
    frame,
    view,
    say,
    session,
    lines,
    zones,
    checks,
    desks,
    checkpoints,
    devices,
    runs,
    run,
    clusters,
    clustersKept,
    live,
    presence,
    outbox,
    here,
    now,
    moment: () => new Date(Date.now() + ahead()),
    may,
    own,
    sideName,
    opened: createMemo(() => openOf(view.state.open)),
    open,
    close: () => open({ what: "" }),
    running,
    unanswered,
    notice,
    dismiss: () => setNotice(null),
    narrow,
    draft: { outline, setOutline, drawing, setDrawing },
  };
}

/** 衢州市 → 衢州: a side is a city, its name is said often. */
export function shortName(name: string): string {
  return name.length > 2 ? name.replace(/[市县区]$/, "") : name;
}

/** Clusters of an answer, by number. */
export function clustersOf(answer: PooledClusters | undefined): readonly Cluster[] {
  return (answer?.features ?? [])
    .map((one) => one.properties)
    .toSorted((a, b) => a.number - b.number);
}

export { away };
