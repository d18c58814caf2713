/**
 * Tensors shown: type, shape and statistics, a picture of the values, and the values themselves where
 * they are few.
 *
 * @module
 */

import { type Figure, figureToPng, heatMap, valueLine } from "../plot/mod.ts";
import { encodeBase64 } from "../plot/base64.ts";
import { formatBytes } from "../gpu/mod.ts";
import { escapeHtml } from "../study/report.ts";
import { describe, type Tensor, type TensorDescription } from "../tensor/mod.ts";
import { cellText } from "../tensor/text_table.ts";
import { arrayText, MOST_VALUES } from "./array_text.ts";
import type { Display } from "./display.ts";
import { tableHtml } from "./table.ts";

/**
 * A tensor as lines of text: its statistics, and its values or those at the edges.
 *
 * @param tensor A tensor; it is computed if it is not yet.
 */
export async function tensorText(tensor: Tensor): Promise<string> {
  return descriptionText(await describe(tensor));
}

/**
 * A tensor as notebooks show it: statistics with a table of few values, then a heat map or a line.
 * These are two outputs, since many front ends show either the HTML or the picture of one.
 *
 * @param tensor A tensor; it is computed if it is not yet.
 */
export async function tensorDisplays(tensor: Tensor): Promise<Display[]> {
  const description = await describe(tensor);
  const html = [
    `<p><b>${escapeHtml(titleOf(description))}</b>, ${formatBytes(description.bytes)}</p>`,
    tableHtml(STATISTICS, [statisticsOf(description)]),
    `<p>${escapeHtml(distributionText(description))}</p>`,
    ...fewValues(description),
  ];
  const numbers = {
    data: {
      "text/plain": descriptionText(description),
      "text/html": `<div>${html.join("\n")}</div>`,
    },
  };
  const figure = tensorFigure(description);
  return figure ? [numbers, await pictureDisplay(figure, altText(description))] : [numbers];
}

async function pictureDisplay(figure: Figure, alt: string): Promise<Display> {
  const png = encodeBase64(await figureToPng(figure));
  const { width, height } = figure.layout;
  const source = `data:image/png;base64,${png}`;
  return {
    data: {
      "text/plain": alt,
      "image/png": png,
      "text/html": `<img alt="${escapeHtml(alt)}" width="${width}" src="${source}">`,
    },
    metadata: { "image/png": { width, height } },
  };
}

/**
 * The picture of a tensor's values: a heat map of a matrix, a line of a vector. Of more than two
 * dimensions it shows the first matrix.
 *
 * @param description From `describe()`.
 * @returns A figure, or `undefined` if there are fewer than two values.
 */
export function tensorFigure(description: TensorDescription): Figure | undefined {
  const { shape, values, name } = description;
  if (values.length < 2) return undefined;
  const title = typeOf(description);
  const slices = shape.slice(0, -2).reduce((product, n) => product * n, 1);
  const notes = [
    ...(name ? [name.replaceAll("<", "&lt;")] : []),
    ...(slices > 1
      ? [`first of ${slices} matrices, [${shape.slice(0, -2).map(() => 0)},:,:]`]
      : []),
  ];
  const options = { title, note: notes.join("; ") };
  if (shape.length === 1) return valueLine(values, options);
  const [rows, columns] = shape.slice(-2);
  return heatMap(values.subarray(0, rows * columns), [rows, columns], options);
}

const typeOf = ({ dtype, shape }: TensorDescription): string => `${dtype}[${shape.join(",")}]`;

const titleOf = (description: TensorDescription): string =>
  typeOf(description) + (description.name ? ` ${description.name}` : "");

const STATISTICS = ["min", "mean", "max", "standard deviation", "zeros", "NaN", "infinite"];

function statisticsOf(description: TensorDescription): number[] {
  const { min, mean, max, std, zeros, nan, infinite } = description;
  return [min, mean, max, std, zeros, nan, infinite];
}

const BARS = "▁▂▃▄▅▆▇█";

/** The histogram as a row of bars; a dot where there is no value. */
function bars({ histogram: { counts } }: TensorDescription): string {
  const most = Math.max(...counts);
  return counts.map((count) =>
    count === 0 ? "·" : BARS[Math.min(BARS.length - 1, Math.floor(count / most * BARS.length))]
  ).join("");
}

function distributionText(description: TensorDescription): string {
  const { min, max } = description;
  if (!(min < max)) return Number.isNaN(min) ? "no finite value" : `all finite values are ${min}`;
  return `distribution from ${cellText(min)} to ${cellText(max)}: ${bars(description)}`;
}

function valueText({ dtype }: TensorDescription): (value: number) => string {
  return dtype === "bool" ? (value) => String(value !== 0) : cellText;
}

function descriptionText(description: TensorDescription): string {
  const statistics = statisticsOf(description);
  return [
    `${titleOf(description)}, ${formatBytes(description.bytes)}`,
    STATISTICS.map((name, i) => `${name} ${cellText(statistics[i])}`).join(", "),
    distributionText(description),
    arrayText(description.values, description.shape, valueText(description)),
  ].join("\n");
}

function altText(description: TensorDescription): string {
  const { shape, min, max, mean } = description;
  const picture = shape.length === 1 ? "Line" : "Heat map";
  return `${picture} of ${titleOf(description)}: from ${cellText(min)} to ${cellText(max)}, ` +
    `mean ${cellText(mean)}.`;
}

/** Columns of the table of a vector. */
const VECTOR_COLUMNS = 10;

/** All values as a table with their positions, if they are few. */
function fewValues(description: TensorDescription): string[] {
  const { values, shape, dtype } = description;
  if (values.length === 0 || values.length > MOST_VALUES) return [];
  // A vector is broken into rows; of more dimensions the last runs along the rows.
  const columns = shape.length < 2 ? Math.min(VECTOR_COLUMNS, values.length) : shape.at(-1)!;
  const rows = Array.from({ length: Math.ceil(values.length / columns) }, (_, row) => {
    const cells = Array.from(
      values.subarray(row * columns, (row + 1) * columns),
      (value) => dtype === "bool" ? value !== 0 : value,
    );
    const place = shape.length < 2 ? String(row * columns) : position(row, shape.slice(0, -1));
    return [place, ...cells, ...new Array(columns - cells.length).fill(null)];
  });
  const head = Array.from({ length: columns }, (_, i) => shape.length < 2 ? `+${i}` : String(i));
  return [tableHtml(["", ...head], rows)];
}

/** Row-major number `n` as a position in a shape: `"0,2"`. */
function position(n: number, shape: readonly number[]): string {
  const coordinates: number[] = [];
  for (const size of shape.toReversed()) {
    coordinates.unshift(n % size);
    n = Math.floor(n / size);
  }
  return coordinates.join(",");
}
