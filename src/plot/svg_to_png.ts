/**
 * SVG to PNG with resvg: no browser, and no fonts but DejaVu Sans.
 *
 * @module
 */

import { fontFiles, resvg } from "./packages.ts";
import { FONT_FAMILY } from "./theme.ts";

let fonts: Promise<Uint8Array[]> | undefined;

/**
 * Draws an SVG document on white. The same document gives the same bytes on every machine.
 *
 * @param svg An SVG document.
 * @param scale Picture pixels per CSS pixel.
 * @returns The bytes of a PNG file.
 * @throws {Error} If the document is not valid SVG or the packages cannot be loaded.
 */
export async function svgToPng(svg: string, scale: number): Promise<Uint8Array> {
  const [{ Resvg }, fontBuffers] = await Promise.all([resvg(), fonts ??= fontFiles()]);
  const renderer = new Resvg(svg, {
    fitTo: { mode: "zoom", value: scale },
    background: "#ffffff",
    font: {
      fontBuffers,
      loadSystemFonts: false,
      defaultFontFamily: FONT_FAMILY,
      sansSerifFamily: FONT_FAMILY,
    },
  });
  try {
    const image = renderer.render();
    const png = image.asPng();
    image.free();
    return png;
  } finally {
    renderer.free();
  }
}
