/** Build: one HTML entry per person, no inlined assets (the server's policy allows none). */
import solid from "vite-plugin-solid";
import { defineConfig } from "vitest/config";
import { offlineWorker } from "./src/offline/build.ts";

const server = process.env.WUSETU_DEV_SERVER ?? "http://127.0.0.1:8000";

/** What the report has in common with the pages with a map, without the map. */
const FRAME = new RegExp(
  [
    "node_modules/(lucide|solid-js)",
    "src/command/(root|frame|pages|states|stale|whoami|mark|icon|me|look|ink|return-focus|search)\\.",
    "src/api/(answer|client|models|server|session)\\.",
    "src/state/(hash|view|times|taste)\\.",
    "src/(i18n|charts)/",
    "src/style/(theme|palette|patterns|(desk|panel|cells|charts|narrow)\\.css)",
    "src/analyst/download",
    "src/border/live",
  ]
    .join("|")
    .replaceAll("/", "[\\\\/]"),
);

export default defineConfig({
  plugins: [solid(), offlineWorker()],
  worker: { format: "es" },
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 1300,
    rolldownOptions: {
      input: [
        "index.html",
        "analyst.html",
        "border.html",
        "tasks.html",
        "report.html",
        "addresses.html",
        "feeds.html",
        "login.html",
        "admin.html",
      ],
      output: {
        codeSplitting: {
          groups: [
            { name: "maplibre", test: /node_modules[\\/]maplibre-gl/, priority: 1 },
            // what the border shares with drawing, apart from the library: it draws only when asked to
            { name: "shapes", test: /src[\\/]draw[\\/](shapes|encode)\./, priority: 3 },
            // with what calls it: among the other shared views every page with a map would wait for it
            {
              name: "draw",
              test: /node_modules[\\/]terra-draw|src[\\/]draw[\\/]drawer/,
              priority: 2,
            },
            // what every page needs; what the pages about accounts share; what those with a map share
            { name: "shared", minShareCount: 8, priority: 1 },
            { name: "accounts", test: /src[\\/](login|admin)[\\/]/, minShareCount: 2, priority: 1 },
            { name: "frame", test: FRAME, minShareCount: 2, priority: 1 },
            { name: "views", minShareCount: 2 },
          ],
        },
      },
    },
  },
  server: { proxy: { "/api": server, "/tiles": server } },
  test: { include: ["src/**/*.test.ts"], environment: "node" },
});
