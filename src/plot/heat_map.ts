/**
 * Values of a matrix as a heat map, and of a vector as a line.
 *
 * @module
 */

import type { Figure } from "./figure.ts";
import { significant } from "./numbers.ts";
import { axis, baseLayout, INK, PALETTE } from "./theme.ts";

/** Options of {@linkcode heatMap} and {@linkcode valueLine}. */
export interface HeatMapOptions {
  /** Title; "Values" by default. */
  readonly title?: string;
  /** What the reader should know besides, in the smaller second line. */
  readonly note?: string;
  /** Name of the horizontal axis; "column" or "index" by default. */
  readonly xAxis?: string;
  /** Name of the vertical axis; "row" or "value" by default. */
  readonly yAxis?: string;
}

/** Cells along one side of a heat map. */
const MOST_CELLS = 64;
/** Points of a line. */
const MOST_POINTS = 512;
/** Cells along one side up to which each shows its number. */
const MOST_NUMBERS = 10;
/** Side of the whole map in CSS pixels, and of one cell at most. */
const MAP_SIDE = 384, CELL_SIDE = 48;

/** Means of blocks of a matrix. */
export interface BlockMeans {
  /** Means of the finite values of each block, row by row; NaN where there are none. */
  readonly means: readonly (readonly number[])[];
  /** Rows and columns of a block; those at the end may be smaller. */
  readonly block: readonly [number, number];
}

/**
 * Averages a matrix over blocks, so that it gets a limited number of rows and columns.
 *
 * @param values Values in row-major order.
 * @param shape Rows and columns.
 * @param most Most rows and most columns of the result.
 */
export function blockMeans(
  values: ArrayLike<number>,
  [rows, columns]: readonly [number, number],
  most: number = MOST_CELLS,
): BlockMeans {
  const height = Math.ceil(rows / most), width = Math.ceil(columns / most);
  const across = Math.ceil(columns / width);
  const means = Array.from({ length: Math.ceil(rows / height) }, (_, blockRow) => {
    const sums = new Float64Array(across), counts = new Uint32Array(across);
    const end = Math.min(rows, (blockRow + 1) * height);
    for (let row = blockRow * height; row < end; row++) {
      for (let column = 0; column < columns; column++) {
        const value = values[row * columns + column];
        if (!Number.isFinite(value)) continue;
        const cell = Math.floor(column / width);
        sums[cell] += value;
        counts[cell]++;
      }
    }
    return Array.from(sums, (sum, cell) => sum / counts[cell]); // 0 / 0 is NaN
  });
  return { means, block: [height, width] };
}

/**
 * Draws a matrix: one cell a value, or, if it is large, one cell the mean of a block. Bright cells are
 * high, dark ones low, in a palette whose lightness grows steadily, so that it can be read without
 * colour; small matrices show their numbers. What is not finite stays white.
 *
 * Palette: cividis (Nuñez, Anderton and Renslow 2018).
 *
 * @param values Values in row-major order.
 * @param shape Rows and columns.
 * @param options Title and names.
 * @returns A figure.
 * @throws {RangeError} If the matrix is empty or the values do not fill it.
 */
export function heatMap(
  values: ArrayLike<number>,
  shape: readonly [number, number],
  options: HeatMapOptions = {},
): Figure {
  const [rows, columns] = shape;
  if (rows * columns === 0 || rows * columns !== values.length) {
    throw new RangeError(
      `heatMap() needs at least one value and as many as cells, got ${values.length} values for ` +
        `${rows}×${columns}.`,
    );
  }
  const { means, block: [height, width] } = blockMeans(values, shape);
  const down = means.length, across = means[0].length;
  const side = Math.min(CELL_SIDE, Math.floor(MAP_SIDE / Math.max(down, across)));
  const numbers = Math.max(down, across) <= MOST_NUMBERS;
  const notes = [
    ...(options.note ? [options.note] : []),
    ...(height * width > 1 ? [`each cell is the mean of ${height}×${width} values`] : []),
    ...(means.flat().some((mean) => !Number.isFinite(mean)) ? ["white: NaN or infinite"] : []),
  ];
  const margin = { l: 64, r: 110, t: notes.length > 0 ? 76 : 56, b: 56 };
  const position = (start: number, cells: number, block: number) => ({
    range: [start, start + cells * block],
    showgrid: false,
    ...(cells * block <= 16 ? { dtick: 1 } : { nticks: 9 }),
    tickformat: "d",
  });
  return {
    data: [{
      type: "heatmap",
      z: means.map((row) => row.map(significant)),
      x0: (width - 1) / 2,
      dx: width,
      y0: (height - 1) / 2,
      dy: height,
      colorscale: "Cividis",
      colorbar: { thickness: 14, outlinewidth: 0, ticks: "outside", tickcolor: INK, nticks: 6 },
      hoverongaps: false,
      ...(numbers ? { texttemplate: "%{z:.2~g}", textfont: { size: 11 } } : {}),
    }],
    layout: baseLayout({
      title: options.title ?? "Values",
      subtitle: notes.join("; "),
      width: Math.max(420, margin.l + margin.r + across * side),
      height: Math.max(240, margin.t + margin.b + down * side),
      margin,
      xaxis: axis({ title: options.xAxis ?? "column", ...position(-0.5, across, width) }),
      yaxis: axis({
        title: options.yAxis ?? "row",
        ...position(-0.5, down, height),
        // Row 0 is at the top, as matrices are written.
        range: [down * height - 0.5, -0.5],
      }),
    }),
  };
}

/**
 * Draws a vector as a line over its index; a long one as the means of runs. What is not finite is a
 * gap.
 *
 * @param values The values.
 * @param options Title and names.
 * @returns A figure.
 * @throws {RangeError} If there are no values.
 */
export function valueLine(values: ArrayLike<number>, options: HeatMapOptions = {}): Figure {
  if (values.length === 0) throw new RangeError("valueLine() needs at least one value, got 0.");
  const { means: [means], block: [, width] } = blockMeans(values, [1, values.length], MOST_POINTS);
  const notes = [
    ...(options.note ? [options.note] : []),
    ...(width > 1 ? [`each point is the mean of ${width} values`] : []),
  ];
  return {
    data: [{
      type: "scatter",
      mode: means.length <= 64 ? "lines+markers" : "lines",
      name: "value",
      x: means.map((_, i) => i * width + (width - 1) / 2),
      y: means.map(significant),
      line: { color: PALETTE[0], width: 1.5 },
      marker: { size: 5 },
    }],
    layout: baseLayout({
      title: options.title ?? "Values",
      subtitle: notes.join("; "),
      width: 560,
      height: 260,
      xaxis: axis({ title: options.xAxis ?? "index" }),
      yaxis: axis({ title: options.yAxis ?? "value" }),
    }),
  };
}
