/**
 * Static pictures of figures, drawn by plotly.js itself but without a browser.
 *
 * plotly.js runs in happy-dom, which has a document but no layout and no canvas; the few measures
 * and canvas calls that plotly needs are supplied here. Texts are measured with the font they are
 * drawn in and nothing depends on the machine's fonts, so the same figure gives the same bytes
 * everywhere.
 *
 * @module
 */

import { deflateSync } from "node:zlib";
import { pngFile, pngParts } from "../data/png.ts";
import { encodeBase64 } from "./base64.ts";
import { type Figure, figureTitle } from "./figure.ts";
import { fontMetrics } from "./font_metrics.ts";
import { addTextMetrics, type DomClasses } from "./dom_metrics.ts";
import { fontFiles, plotlySource } from "./packages.ts";
import { svgToPng } from "./svg_to_png.ts";

/** The part of plotly.js that is used. */
interface Plotly {
  toImage(
    figure: unknown,
    options: { format: "svg"; imageDataOnly: true },
  ): Promise<string>;
}

let loading: Promise<Plotly> | undefined;
/** plotly works on one document: pictures are drawn one after the other. */
let queue: Promise<unknown> = Promise.resolve();

/**
 * Draws a figure as SVG.
 *
 * @param figure The figure.
 * @returns An SVG document whose texts name the font DejaVu Sans.
 * @throws {Error} If plotly refuses the figure or the packages cannot be loaded.
 */
export function figureToSvg(figure: Figure): Promise<string> {
  const turn = queue.then(() => draw(figure));
  queue = turn.catch(() => {});
  return turn;
}

/**
 * Draws a figure as PNG. The same figure gives the same bytes on every machine.
 *
 * @param figure The figure.
 * @param scale Picture pixels per CSS pixel.
 * @returns The bytes of a PNG file.
 * @throws {Error} If plotly refuses the figure or the packages cannot be loaded.
 */
export async function figureToPng(figure: Figure, scale = 1.5): Promise<Uint8Array> {
  return await svgToPng(await figureToSvg(figure), scale);
}

async function draw(figure: Figure): Promise<string> {
  const plotly = await (loading ??= load());
  try {
    // A copy: plotly writes its defaults into the objects it is given.
    const svg = await plotly.toImage(structuredClone({ ...figure, config: {} }), {
      format: "svg",
      imageDataOnly: true,
    });
    // Heat maps are small pictures: enlarged smoothly they would blur, and their files grow tenfold.
    // The renderer knows the older name of the style only.
    return svg.replaceAll("<image ", '<image image-rendering="optimizeSpeed" ')
      .replaceAll("image-rendering: pixelated", "image-rendering: optimizeSpeed");
  } catch (cause) {
    throw new Error(`plotly cannot draw the figure "${figureTitle(figure)}": ${cause}`, { cause });
  }
}

async function load(): Promise<Plotly> {
  const [{ Window }, source, fonts] = await Promise.all([
    import("happy-dom"),
    plotlySource(),
    fontFiles(),
  ]);
  const window = new Window({
    settings: {
      enableJavaScriptEvaluation: true,
      suppressInsecureJavaScriptEnvironmentWarning: true,
    },
  }) as unknown as DomWindow;
  window.document.write("<!doctype html><body></body>");
  addTextMetrics(window, fonts.map(fontMetrics));
  addCanvas(window);
  window.eval(source);
  return window.Plotly;
}

/** The part of happy-dom's window that is used, with the names plotly adds to it. */
interface DomWindow extends DomClasses {
  readonly document: { write(html: string): void };
  readonly Plotly: Plotly;
  readonly HTMLCanvasElement: { prototype: DomCanvas };
  eval(source: string): unknown;
}

interface DomCanvas {
  readonly width: number;
  readonly height: number;
  getContext(kind: string): unknown;
  toDataURL(): string;
}

interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8ClampedArray;
}

/** A canvas that can only hold pixels: enough for heat maps. */
function addCanvas(window: DomWindow): void {
  const contents = new WeakMap<DomCanvas, Pixels>();
  const blank = (width: number, height: number): Pixels => ({
    width,
    height,
    data: new Uint8ClampedArray(4 * width * height),
  });
  window.HTMLCanvasElement.prototype.getContext = function (): unknown {
    return {
      canvas: this,
      createImageData: blank,
      putImageData: (pixels: Pixels) => contents.set(this, pixels),
    };
  };
  window.HTMLCanvasElement.prototype.toDataURL = function (): string {
    const { width, height, data } = contents.get(this) ?? blank(this.width, this.height);
    // Written at once: plotly does not wait for pictures.
    const { head, lines } = pngParts(width, height, data);
    return `data:image/png;base64,${encodeBase64(pngFile(head, deflateSync(lines)))}`;
  };
}
