/**
 * Accuracy per task family, with its interval and the score of a blind guesser.
 *
 * @module
 */

import type { Figure, Trace } from "./figure.ts";
import { round } from "./numbers.ts";
import { axis, barMarker, baseLayout, INK, seriesStyle } from "./theme.ts";

/** Accuracy on one family of questions. */
export interface AccuracyRow {
  /** Family of questions: `"general"`, `"ocr"`, … */
  readonly family: string;
  /** Share of right answers, 0 to 1. */
  readonly accuracy: number;
  /** Accuracy of the best answer that ignores the picture, 0 to 1. */
  readonly floor: number;
  /** Lower end of the interval, 0 to 1. */
  readonly low?: number;
  /** Upper end of the interval, 0 to 1. */
  readonly high?: number;
  /** Number of questions. */
  readonly n: number;
  /** Split (or model): rows with different splits are drawn side by side. */
  readonly split?: string;
}

/** Options of {@linkcode accuracyBars}. */
export interface AccuracyBarsOptions {
  /** Title; "Accuracy by family" by default. */
  readonly title?: string;
  /** What the error bars are; "95 % interval" by default. */
  readonly interval?: string;
  /** Width in CSS pixels. */
  readonly width?: number;
  /** Height in CSS pixels. */
  readonly height?: number;
}

/**
 * Draws accuracies as bars, grouped by split, with error bars, the number over each bar and the
 * blind floor as a dashed line across it.
 *
 * @param rows One row a family and split.
 * @param options Title and size.
 * @returns A figure.
 * @throws {RangeError} If there are no rows, or an accuracy or floor is outside 0…1.
 */
export function accuracyBars(
  rows: readonly AccuracyRow[],
  options: AccuracyBarsOptions = {},
): Figure {
  if (rows.length === 0) throw new RangeError("accuracyBars() needs at least one row, got 0.");
  for (const { family, accuracy, floor } of rows) {
    if (!(accuracy >= 0 && accuracy <= 1 && floor >= 0 && floor <= 1)) {
      throw new RangeError(
        `Accuracy ${accuracy} and blind floor ${floor} of "${family}" must be shares from 0 to 1, ` +
          "not percentages.",
      );
    }
  }
  const families = [...new Set(rows.map((row) => row.family))];
  const splits = [...new Set(rows.map((row) => row.split ?? ""))];
  const barWidth = 0.8 / splits.length;
  // Positions are numbers, not categories, because the floors must end exactly at the bar's edges.
  const center = (row: AccuracyRow): number =>
    families.indexOf(row.family) +
    (splits.indexOf(row.split ?? "") - (splits.length - 1) / 2) * barWidth;

  const data: Trace[] = splits.map((split, index) => {
    const own = rows.filter((row) => (row.split ?? "") === split);
    const hasInterval = own.some((row) => row.low !== undefined || row.high !== undefined);
    return {
      type: "bar",
      name: split || "accuracy",
      x: own.map(center),
      y: own.map((row) => points(row.accuracy)),
      width: barWidth * 0.92,
      marker: barMarker(seriesStyle(index)),
      customdata: own.map((row) => [row.family, row.n, points(row.floor)]),
      hovertemplate:
        "%{customdata[0]}: %{y} % of %{customdata[1]}, blind floor %{customdata[2]} %<extra></extra>",
      ...(hasInterval
        ? {
          error_y: {
            type: "data",
            symmetric: false,
            array: own.map((row) => points((row.high ?? row.accuracy) - row.accuracy)),
            arrayminus: own.map((row) => points(row.accuracy - (row.low ?? row.accuracy))),
            color: INK,
            thickness: 1.2,
            width: 4,
          },
        }
        : {}),
    };
  });
  data.push({
    type: "scatter",
    mode: "lines",
    name: "blind floor",
    x: rows.flatMap((row) => [center(row) - barWidth / 2, center(row) + barWidth / 2, null]),
    y: rows.flatMap((row) => [points(row.floor), points(row.floor), null]),
    line: { color: INK, width: 2, dash: "4px,2px" },
    hoverinfo: "skip",
  });
  data.push({
    type: "scatter",
    mode: "text",
    x: rows.map(center),
    y: rows.map((row) => points(Math.max(row.high ?? 0, row.accuracy, row.floor))),
    text: rows.map((row) => (100 * row.accuracy).toFixed(splits.length > 2 ? 0 : 1)),
    textposition: "top center",
    textfont: { size: splits.length > 2 ? 10 : 11 },
    showlegend: false,
    hoverinfo: "skip",
  });

  const hasIntervals = rows.some((row) => row.low !== undefined || row.high !== undefined);
  return {
    data,
    layout: baseLayout({
      title: options.title ?? "Accuracy by family",
      subtitle: `${
        hasIntervals ? `error bars: ${options.interval ?? "95 % interval"}; ` : ""
      }blind floor: best answer without the picture`,
      width: options.width ?? Math.max(720, 180 + families.length * (60 + 34 * splits.length)),
      height: options.height,
      xaxis: axis({
        title: "family",
        tickvals: families.map((_, index) => index),
        ticktext: families.map((family) => tickLabel(family, rows)),
        range: [-0.6, families.length - 0.4],
        showgrid: false,
      }),
      yaxis: axis({ title: "accuracy (%)", range: [0, 108], tickvals: [0, 20, 40, 60, 80, 100] }),
      bargap: 0,
    }),
  };
}

/** The family, and how many questions it has if that is the same in every split. */
function tickLabel(family: string, rows: readonly AccuracyRow[]): string {
  const sizes = new Set(rows.filter((row) => row.family === family).map((row) => row.n));
  return sizes.size === 1 ? `${family}<br>n = ${[...sizes][0]}` : family;
}

/** A share in percent, with the decimal that the figure writes. */
function points(share: number): number {
  return round(100 * share, 1);
}
