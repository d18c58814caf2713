/**
 * Files of npm packages, found on disk: plotly's program text, the renderer's WebAssembly, fonts.
 *
 * A file is read from the package cache, not imported, because JSR does not take text or byte
 * imports. The JSON imports below make the runtime download the packages; their versions come
 * from the import map. Everything is loaded on first use.
 *
 * @module
 */

import { createRequire } from "node:module";

/** Version of plotly.js that draws the pictures and that notebooks load. */
export async function plotlyVersion(): Promise<string> {
  const { default: manifest } = await import("plotly.js-cartesian-dist-min/package.json", {
    with: { type: "json" },
  });
  return manifest.version;
}

/** Program text of plotly.js (scatter, bar, heatmap, box, violin). */
export async function plotlySource(): Promise<string> {
  await plotlyVersion();
  return await Deno.readTextFile(
    packageFile("plotly.js-cartesian-dist-min/plotly-cartesian.min.js"),
  );
}

/** DejaVu Sans as TrueType files: regular, then bold. */
export async function fontFiles(): Promise<Uint8Array[]> {
  await import("dejavu-fonts-ttf/package.json", { with: { type: "json" } });
  const names = ["DejaVuSans.ttf", "DejaVuSans-Bold.ttf"];
  return await Promise.all(
    names.map((name) => Deno.readFile(packageFile(`dejavu-fonts-ttf/ttf/${name}`))),
  );
}

/** The SVG renderer resvg, ready to use. */
export function resvg(): Promise<typeof import("@resvg/resvg-wasm")> {
  return resvgModule ??= loadResvg();
}

let resvgModule: Promise<typeof import("@resvg/resvg-wasm")> | undefined;

async function loadResvg(): Promise<typeof import("@resvg/resvg-wasm")> {
  const module = await import("@resvg/resvg-wasm");
  try {
    await module.initWasm(await Deno.readFile(packageFile("@resvg/resvg-wasm/index_bg.wasm")));
  } catch (error) {
    // The data set draws with the same module, which can be started once only.
    if (!(error instanceof Error && error.message.startsWith("Already initialized"))) throw error;
  }
  return module;
}

/** Path of a file of a package that has been imported before. */
function packageFile(specifier: string): string {
  try {
    // Any base will do: packages are looked up in the runtime's cache, not beside this module.
    return createRequire("file:///package_lookup.ts").resolve(specifier);
  } catch (cause) {
    throw new Error(
      `Cannot find ${specifier} in the package cache. Static pictures need Deno with npm packages; ` +
        "`deno install` downloads them.",
      { cause },
    );
  }
}
