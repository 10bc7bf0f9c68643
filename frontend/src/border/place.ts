/**
 * Where am I: the device's own position, a place clicked, or a unit. The server answers; when nobody does,
 * side, distance, zones and what is near are worked out here from what was kept. Where the device is goes
 * into no link and is kept nowhere.
 */
import { type Accessor, createEffect, createSignal, on, onCleanup } from "solid-js";
import { Failure, isAbort } from "../api/client";
import type { Frame } from "../command/frame";
import { contains, type Position, type Ring } from "../draw/shapes";
import { heard, returned } from "../offline/offline";
import type { View } from "../state/view";
import type { Kept } from "./kept";
import { bearing, metresBetween, nearestOf } from "./nearest";
import { askedOf, type BorderState } from "./state";
import type { BorderLines, Checkpoint, Desk, Device, DeviceList, Where, ZoneList } from "./types";

export type Fault = "denied" | "unavailable" | "timeout" | "insecure";

export interface Here {
  /** The answer, newest first known; undefined: nothing asked. */
  where: Accessor<Where | undefined>;
  /** The answer is worked out on this device. */
  own: Accessor<boolean>;
  failure: Accessor<Failure | undefined>;
  /** Whether the device's position is followed. */
  following: Accessor<boolean>;
  /** Accuracy of the device's position, metres; null: the place was chosen by hand. */
  accuracy: Accessor<number | null>;
  fault: Accessor<Fault | null>;
  follow: () => void;
  stop: () => void;
}

interface Around {
  desks: Kept<Desk[]>;
  checkpoints: Kept<Checkpoint[]>;
  zones: Kept<ZoneList>;
  devices: Kept<DeviceList>;
}

/** Metres the device has to move before the server is asked again. */
const STEP = 8;

function partsOf(geometry: unknown): Ring[][] {
  const { type, coordinates } = geometry as { type: string; coordinates: unknown };
  if (type === "Polygon") return [coordinates as Ring[]];
  return type === "MultiPolygon" ? (coordinates as Ring[][]) : [];
}

/** The answer from what was kept: side and units stay unknown, all else follows from shapes. */
export function workedOut(
  p: Position,
  lines: BorderLines,
  around: {
    desks: readonly Desk[];
    checkpoints: readonly Checkpoint[];
    zones: ZoneList | undefined;
    devices: readonly Device[];
  },
  as_of: Date,
): Where {
  const nearest = nearestOf(
    p,
    lines.lines.map((one) => ({
      of: one,
      parts: (one.geometry as { coordinates?: Position[][] }).coordinates ?? [],
    })),
  );
  const near = <T extends { lon: number; lat: number }>(all: readonly T[]) =>
    all
      .map((one) => ({ ...one, metres: metresBetween(p, [one.lon, one.lat]) }))
      .toSorted((a, b) => a.metres - b.metres)
      .slice(0, 5);
  const inForce = (around.zones?.zones ?? []).filter(
    (one) => one.version?.in_force && contains(partsOf(one.version.geometry), p),
  );
  return {
    pack: lines.pack,
    boundary_version: lines.boundary_version,
    lon: p[0],
    lat: p[1],
    side: null,
    units: [],
    metres_to_line: nearest?.metres ?? null,
    nearest: nearest && { lon: nearest.at[0], lat: nearest.at[1] },
    azimuth: nearest && bearing(p, nearest.at),
    other_side: null,
    zones: inForce.map((one) => ({
      id: one.id,
      version: one.version?.version ?? 0,
      name: one.name,
      sides: one.sides,
      valid_to: one.version?.valid_to ?? null,
    })),
    desks: [...around.desks],
    checkpoints: near(around.checkpoints),
    devices: near(around.devices).map((one) => ({ ...one })),
    as_of: as_of.toISOString(),
  } as Where;
}

export function createPlace(
  frame: Frame,
  view: View<BorderState>,
  lines: Kept<BorderLines>,
  around: Around,
  allowed: () => boolean,
): Here {
  const [where, setWhere] = createSignal<Where>();
  const [own, setOwn] = createSignal(false);
  /** A place nobody answers about; what is kept may come after it was asked. */
  const [alone, setAlone] = createSignal<Position>();
  createEffect(() => {
    const [p, known] = [alone(), lines.value()];
    if (!p || !known) return;
    const kept = {
      desks: around.desks.value() ?? [],
      checkpoints: around.checkpoints.value() ?? [],
      zones: around.zones.value(),
      devices: around.devices.value()?.devices ?? [],
    };
    setWhere(workedOut(p, known, kept, lines.at() ?? new Date()));
  });
  const [failure, setFailure] = createSignal<Failure>();
  const [following, setFollowing] = createSignal(false);
  const [accuracy, setAccuracy] = createSignal<number | null>(null);
  const [fault, setFault] = createSignal<Fault | null>(null);
  const [position, setPosition] = createSignal<Position | null>(null, {
    equals: (a, b) => a !== null && b !== null && metresBetween(a, b) < STEP,
  });
  let watch: number | undefined;

  const stop = () => {
    if (watch !== undefined) navigator.geolocation.clearWatch(watch);
    watch = undefined;
    setFollowing(false);
    setPosition(null);
    setAccuracy(null);
  };
  const follow = () => {
    setFault(null);
    if (!window.isSecureContext || !("geolocation" in navigator)) {
      setFault("insecure");
      return;
    }
    if (watch !== undefined) navigator.geolocation.clearWatch(watch);
    setFollowing(true);
    view.go({ at: "" }, "replace");
    watch = navigator.geolocation.watchPosition(
      ({ coords }) => {
        setFault(null);
        setAccuracy(coords.accuracy);
        setPosition([coords.longitude, coords.latitude]);
      },
      (error) => {
        const found = error.code === 1 ? "denied" : error.code === 2 ? "unavailable" : "timeout";
        setFault(found);
        if (found === "denied") stop();
      },
      { enableHighAccuracy: true, maximumAge: 5000, timeout: 20_000 },
    );
  };
  onCleanup(stop);
  createEffect(
    on(
      () => view.state.at,
      (at) => {
        if (at !== "") stop();
      },
    ),
  );

  const asked = (): { query: string; at: Position | null } | null => {
    const by = position();
    if (by) return { query: `lon=${by[0]}&lat=${by[1]}`, at: by };
    const at = askedOf(view.state.at);
    if (!at) return null;
    return "code" in at
      ? { query: `code=${encodeURIComponent(at.code)}`, at: null }
      : { query: `lon=${at.lon}&lat=${at.lat}`, at: [at.lon, at.lat] };
  };
  createEffect(
    on([asked, allowed, returned, () => lines.value(), () => frame.map().pack], ([one]) => {
      if (one === null || !allowed()) {
        setAlone(undefined);
        setWhere(undefined);
        setFailure(undefined);
        return;
      }
      const controller = new AbortController();
      onCleanup(() => controller.abort());
      const address = `/api/packs/${encodeURIComponent(frame.map().pack)}/border/where?${one.query}`;
      heard<Where>(address, controller.signal)
        .then((told) => {
          if (controller.signal.aborted) return;
          setOwn(false);
          setAlone(undefined);
          setFailure(undefined);
          setWhere(told.value);
        })
        .catch((error: unknown) => {
          if (controller.signal.aborted || isAbort(error)) return;
          const failed =
            error instanceof Failure ? error : new Failure(0, "unknown", String(error), null);
          if ((failed.status === 0 || failed.status >= 500) && one.at && lines.value()) {
            setOwn(true);
            setFailure(undefined);
            setAlone(one.at);
          } else {
            setAlone(undefined);
            setWhere(undefined);
            setFailure(failed);
          }
        });
    }),
  );
  return { where, own, failure, following, accuracy, fault, follow, stop };
}
