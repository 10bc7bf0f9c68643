/** What every page shares: the link, the map of the manifest, words, theme. No question is asked here. */
import { type Accessor, createContext, createMemo, useContext } from "solid-js";
import type { Manifest, MapInfo } from "../api/models";
import { dictionary, type Words } from "../i18n";
import type { View } from "../state/view";
import { makeTheme, type Theme } from "../style/theme";

export interface Frame {
  view: View;
  wall: boolean;
  manifest: Accessor<Manifest>;
  map: Accessor<MapInfo>;
  words: Accessor<Words>;
  theme: Accessor<Theme>;
  nameOf: (unit: { name: string; name_en: string | null }) => string;
  /** `title` of a manifest entry in the present language. */
  title: (words: { zh: string; en: string }) => string;
}

const Context = createContext<Frame>();

export const FrameProvider = Context.Provider;

export function useFrame(): Frame {
  const frame = useContext(Context);
  if (!frame) throw new Error("useFrame outside of its provider");
  return frame;
}

export function createFrame(view: View, manifest: Accessor<Manifest>, wall: boolean): Frame {
  const { state } = view;
  const map = createMemo(() => {
    const maps = manifest().maps;
    return (maps.find((one) => one.pack === state.map) ?? maps[0]) as MapInfo;
  });
  return {
    view,
    wall,
    manifest,
    map,
    words: createMemo(() => dictionary(state.lang)),
    theme: createMemo(() => makeTheme(wall ? "wall" : state.theme, state.palette)),
    nameOf: (unit) => (state.lang === "en" ? (unit.name_en ?? unit.name) : unit.name),
    title: (both) => both[state.lang],
  };
}
