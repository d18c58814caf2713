/**
 * Representations of values: for every front end the one that it shows best.
 *
 * @module
 */

import { isPng, pngSize } from "../data/png.ts";
import { describeFigure, type Figure, figureTitle, figureToPng, isFigure } from "../plot/mod.ts";
import { encodeBase64 } from "../plot/base64.ts";
import { plotlyVersion } from "../plot/packages.ts";
import { escapeHtml } from "../study/report.ts";
import type { Display } from "./display.ts";
import { insideDisplay, insideText } from "./inside.ts";
import type { MimeBundle } from "./jupyter.ts";

const DISPLAY = Symbol.for("Jupyter.display");

/**
 * Makes the representations of a value.
 *
 * @param value A figure, the bytes of a PNG file, an object with `Symbol.for("Jupyter.display")`, a
 * plan, times of kernels, or anything else, which becomes text.
 * @returns What a kernel displays.
 */
export async function toDisplay(value: unknown): Promise<Display> {
  if (isFigure(value)) return await figureDisplay(value);
  if (isPicture(value)) return pictureDisplay(value);
  if (isDisplayable(value)) return { data: await value[DISPLAY]() };
  return insideDisplay(value) ?? { data: { "text/plain": toText(value) } };
}

/**
 * Makes the text that stands for a value where pictures cannot be shown.
 *
 * @param value Anything.
 * @returns One or more lines of text.
 */
export function toText(value: unknown): string {
  if (typeof value === "string") return value;
  if (isFigure(value)) return describeFigure(value);
  if (isPicture(value)) {
    const { width, height } = pngSize(value);
    return `Picture, ${width}×${height} pixels`;
  }
  return Deno.inspect(value, { colors: false, depth: 4 });
}

/**
 * Like {@linkcode toText}, but asks objects that display themselves for their text.
 *
 * @param value Anything.
 * @returns One or more lines of text.
 */
export async function toConsoleText(value: unknown): Promise<string> {
  if (isDisplayable(value)) {
    const bundle = await value[DISPLAY]();
    if (typeof bundle["text/plain"] === "string") return bundle["text/plain"];
  }
  return await insideText(value) ?? toText(value);
}

function isPicture(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array && isPng(value);
}

function isDisplayable(
  value: unknown,
): value is { [DISPLAY](): MimeBundle | Promise<MimeBundle> } {
  return typeof value === "object" && value !== null &&
    typeof (value as Record<symbol, unknown>)[DISPLAY] === "function";
}

function pictureDisplay(png: Uint8Array): Display {
  return { data: { "text/plain": toText(png), "image/png": encodeBase64(png) } };
}

async function figureDisplay(figure: Figure): Promise<Display> {
  const text = describeFigure(figure);
  const plotly = { data: figure.data, layout: figure.layout, config: { displaylogo: false } };
  const width = figure.layout.width ?? 720;
  const height = figure.layout.height ?? 400;
  const png = encodeBase64(await figureToPng(figure));
  return {
    data: {
      "text/plain": text,
      "application/vnd.plotly.v1+json": plotly,
      "image/png": png,
      "text/html": figureHtml(figure, png, plotly, await plotlyVersion()),
    },
    metadata: { "image/png": { width, height } },
  };
}

/**
 * The static picture, and a script that replaces it by the interactive figure. Without a network,
 * or where scripts are not trusted, the picture stays.
 */
function figureHtml(figure: Figure, png: string, plotly: unknown, version: string): string {
  const id = `figure-${crypto.randomUUID()}`;
  const alt = escapeHtml(figureTitle(figure));
  const width = figure.layout.width ?? 720;
  // "<" is escaped so that no text in the figure can end the script.
  const spec = JSON.stringify(plotly).replaceAll("<", "\\u003c");
  return `<div id="${id}"><img alt="${alt}" width="${width}" src="data:image/png;base64,${png}"></div>
<script>
(() => {
  const target = document.getElementById("${id}");
  const figure = ${spec};
  const load = () => window.Plotly ? Promise.resolve() : window.plotlyLoading ??= new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = "https://cdn.plot.ly/plotly-cartesian-${version}.min.js";
    script.onload = done;
    script.onerror = failed;
    document.head.append(script);
  });
  load().then(() => {
    target.replaceChildren();
    return window.Plotly.newPlot(target, figure.data, figure.layout, figure.config);
  }).catch(() => {});
})();
</script>`;
}
