/**
 * SVG to sprites, through resvg compiled to WebAssembly: the same bytes on every machine.
 *
 * @module
 */

import { readPackageFile } from "./packages.ts";
import type { Sprite } from "./sprite.ts";

/** A font ready for {@linkcode Renderer.text}. */
export interface Font {
  /** Name inside the font file. */
  family: string;
  /** Weight, as in CSS. */
  weight: number;
  /** The .woff2 file. */
  file: Uint8Array;
}

/** Draws SVG text; made by {@linkcode loadRenderer}. */
export interface Renderer {
  /**
   * Renders a complete SVG document.
   *
   * @param svg the document
   * @param options `width` or `height` in pixels when not the document's own; fonts for its text
   */
  render(svg: string, options?: { width?: number; height?: number; fonts?: Font[] }): Sprite;
}

let loading: Promise<Renderer> | undefined;

/** Loads resvg once per process. @throws Error when its package cannot be read */
export function loadRenderer(): Promise<Renderer> {
  loading ??= load().catch((error) => {
    loading = undefined;
    throw error;
  });
  return loading;
}

async function load(): Promise<Renderer> {
  const { initWasm, Resvg } = await import("@resvg/resvg-wasm");
  try {
    await initWasm(await readPackageFile("resvg", "index_bg.wasm"));
  } catch (error) {
    // Other users of the same module may have been first; it can be started once only.
    if (!(error instanceof Error && error.message.startsWith("Already initialized"))) throw error;
  }
  return {
    render(svg, { width, height, fonts = [] } = {}) {
      const resvg = new Resvg(svg, {
        fitTo: width !== undefined
          ? { mode: "width", value: width }
          : height !== undefined
          ? { mode: "height", value: height }
          : { mode: "original" },
        font: {
          loadSystemFonts: false,
          fontBuffers: fonts.map((font) => font.file),
          defaultFontFamily: fonts[0]?.family,
        },
      });
      const image = resvg.render();
      // `pixels` copies out of WebAssembly memory at each access.
      const sprite = { width: image.width, height: image.height, pixels: image.pixels };
      image.free();
      resvg.free();
      return sprite;
    },
  };
}

/** Text made safe for use inside SVG. */
export function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
