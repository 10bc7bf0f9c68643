/** What a first visit costs, gzipped. A new library has to show why it is worth its weight. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";

const ASSETS = join(import.meta.dirname, "..", "dist", "assets");
const KB = 1024;

/** Pattern of a file name and the most it may weigh, kB gzipped. */
const BUDGET: [RegExp, number][] = [
  [/^index-.*\.js$/, 24],
  // what the pages with a map share
  [/^views-.*\.js$/, 30],
  // what the report shares with them
  [/^frame-.*\.js$/, 24],
  [/^analyst-.*\.js$/, 50],
  [/^border-.*\.js$/, 40],
  [/^tasks-.*\.js$/, 26],
  [/^report-.*\.js$/, 14],
  [/^addresses-.*\.js$/, 12],
  [/^feeds-.*\.js$/, 10],
  // the maps of the tasks page, after its words
  [/^(strip|desk-map|where)\.view-.*\.js$/, 3],
  [/^draw-.*\.js$/, 42],
  [/^shapes-.*\.js$/, 3],
  [/^login-.*\.js$/, 9],
  [/^admin-.*\.js$/, 9],
  // what the pages about accounts share
  [/^accounts-.*\.js$/, 9],
  [/^shared-.*\.js$/, 20],
  [/^maplibre-.*\.js$/, 300],
  [/^maplibre-gl-worker-.*\.js$/, 170],
  [/^index-.*\.css$/, 9],
  [/\.woff2$/, 52],
];

test.skipIf(!existsSync(ASSETS))("the bundle stays inside its budget", () => {
  const files = readdirSync(ASSETS).filter((one) => !one.endsWith(".map"));
  for (const file of files) {
    const size = gzipSync(readFileSync(join(ASSETS, file))).length / KB;
    const rule = BUDGET.findLast(([pattern]) => pattern.test(file));
    expect(
      rule ?? (file.endsWith(".css") ? "css" : undefined),
      `no budget for ${file}`,
    ).toBeDefined();
    if (rule) expect(size, file).toBeLessThanOrEqual(rule[1]);
  }
  expect(files.filter((one) => one.endsWith(".woff2"))).toHaveLength(1);
});
