/**
 * The fonts of printed text.
 *
 * @module
 */

import { type PackageName, readPackageFile } from "./packages.ts";
import type { Font } from "./renderer.ts";

/** Name of a font. */
export type FontName =
  & PackageName
  & (
    | "roboto"
    | "merriweather"
    | "oswald"
    | "roboto-mono"
    | "caveat"
    | "playfair-display"
    | "courier-prime"
  );

const WEIGHTS: Record<FontName, [family: string, weight: number]> = {
  roboto: ["Roboto", 700],
  merriweather: ["Merriweather", 700],
  oswald: ["Oswald", 500],
  "roboto-mono": ["Roboto Mono", 600],
  caveat: ["Caveat", 700],
  "playfair-display": ["Playfair Display", 700],
  "courier-prime": ["Courier Prime", 700],
};

/** Fonts seen in the `style` split only. */
export const HELD_FONTS: readonly FontName[] = ["playfair-display", "courier-prime"];

/** Reads a font. @throws Error when its package cannot be read */
export async function loadFont(name: FontName): Promise<Font> {
  const [family, weight] = WEIGHTS[name];
  // resvg reads .woff2 and draws nothing from .woff.
  const file = await readPackageFile(name, `files/${name}-latin-${weight}-normal.woff2`);
  return { family, weight, file };
}
