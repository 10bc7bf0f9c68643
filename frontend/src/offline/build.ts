/**
 * Builds the worker beside the pages: `sw.js` at the root (so that it may serve every page), one classic
 * script, with the list of files each page of `rules.ts` needs. Runs in Vite, never in a browser.
 */
import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type Plugin, type Rolldown } from "vite";
import { PAGES } from "./rules.ts";

const SOURCE = fileURLToPath(new URL("./sw.ts", import.meta.url));

/** Files of the pages: what their entries import, now or later, their styles, fonts and map workers. */
export function shellOf(bundle: Rolldown.OutputBundle): string[] {
  const found = new Set<string>();
  const take = (name: string) => {
    const one = bundle[name];
    if (!one || found.has(name)) return;
    found.add(name);
    if (one.type !== "chunk") return;
    for (const other of [...one.imports, ...one.dynamicImports]) take(other);
    for (const other of one.viteMetadata?.importedCss ?? []) take(other);
    for (const other of one.viteMetadata?.importedAssets ?? []) take(other);
  };
  for (const one of Object.values(bundle)) {
    if (one.type !== "chunk" || !one.isEntry) continue;
    const page = PAGES.find((name) => one.facadeModuleId?.endsWith(`/${name}.html`));
    if (!page) continue;
    take(one.fileName);
    take(`${page}.html`);
  }
  // workers and fonts are named inside of code and styles
  for (const name of Object.keys(bundle)) {
    if (/worker[^/]*\.m?js$/.test(name) || name.endsWith(".woff2")) take(name);
  }
  return [...found].sort();
}

export function offlineWorker(): Plugin {
  return {
    name: "wusetu-offline",
    apply: "build",
    writeBundle: {
      order: "post",
      async handler(options, bundle) {
        const names = shellOf(bundle);
        const hash = createHash("sha256");
        for (const name of names) {
          const one = bundle[name];
          hash.update(name);
          if (one?.type === "asset") hash.update(one.source);
        }
        const made = await build({
          configFile: false,
          logLevel: "warn",
          publicDir: false,
          define: {
            __SHELL__: JSON.stringify([...names.map((one) => `/${one}`), "/mark.svg"]),
            __VERSION__: JSON.stringify(hash.digest("hex").slice(0, 12)),
          },
          build: {
            write: false,
            target: "es2022",
            rolldownOptions: { input: SOURCE, output: { format: "iife" } },
          },
        });
        const output = (Array.isArray(made) ? made[0] : made) as Rolldown.RolldownOutput;
        await writeFile(join(options.dir ?? "dist", "sw.js"), output.output[0].code);
      },
    },
  };
}
