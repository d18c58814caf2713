/**
 * Ablations as paired differences: what a change does, and whether the seeds can show it.
 *
 * @module
 */

import { verdict } from "../study/statistics.ts";
import {
  type Estimate,
  estimateCaption,
  extent,
  type IntervalOptions,
  seedCount,
  whiskers,
} from "./estimate.ts";
import type { Figure, Json, Trace } from "./figure.ts";
import { signed, significant } from "./numbers.ts";
import { axis, baseLayout, INK, MUTED, PALETTE, topMargin } from "./theme.ts";

/** One ablation: its differences to the reference, seed by seed, in the unit of the axis. */
export interface PairedDifference extends Estimate {
  /** Name of the row: "8 experts". */
  readonly name: string;
  /** What was changed, written small under the name: "4 → 8 experts". */
  readonly change?: string;
  /** The difference that the paper reports, in its own unit (points of its own average). */
  readonly paper?: number;
}

/** Options of {@linkcode pairedDifferences}. */
export interface PairedDifferencesOptions extends IntervalOptions {
  /** Title; "Ablations" by default. */
  readonly title?: string;
  /** Name of the model that is subtracted; "reference" by default. */
  readonly reference?: string;
  /** What is compared, with its unit; "accuracy (percentage points)" by default. */
  readonly metric?: string;
  /** Width in CSS pixels. */
  readonly width?: number;
  /** Height in CSS pixels. */
  readonly height?: number;
}

/**
 * Draws paired differences as a dot plot: one row an ablation, a dot at the mean difference to the
 * reference (same seeds on both sides), its interval as whiskers, every seed as a small tick, and
 * the paper's difference as an open diamond. Rows whose interval holds zero have hollow grey dots
 * and say "no difference shown".
 *
 * @param rows The ablations, top row first.
 * @param options Title, names and size.
 * @returns A figure.
 * @throws {RangeError} If there are no rows.
 */
export function pairedDifferences(
  rows: readonly PairedDifference[],
  options: PairedDifferencesOptions = {},
): Figure {
  if (rows.length === 0) throw new RangeError("pairedDifferences() needs at least one row, got 0.");
  const { reference = "reference", metric = "accuracy (percentage points)" } = options;
  const place = (row: PairedDifference): number => rows.indexOf(row);
  const shown = rows.filter((row) => /^(higher|lower)$/.test(verdict(row)));
  const open = rows.filter((row) => !shown.includes(row));
  const papers = rows.filter((row) => row.paper !== undefined);

  const traces: Trace[] = [
    {
      type: "scatter",
      mode: "markers",
      name: "single seeds",
      x: rows.flatMap(({ seeds = [] }) => seeds.map(significant)),
      y: rows.flatMap((row) => (row.seeds ?? []).map(() => place(row) + 0.2)),
      marker: { symbol: "line-ns-open", size: 9, color: MUTED, line: { width: 1.4, color: MUTED } },
      hovertemplate: "seed: %{x}<extra></extra>",
    },
    dots("difference shown", shown, place, PALETTE[0], "circle"),
    dots("no difference shown", open, place, MUTED, "circle-open"),
    {
      type: "scatter",
      mode: "markers",
      name: "paper (no interval given)",
      x: papers.map(({ paper }) => paper!),
      y: papers.map((row) => place(row) - 0.24),
      marker: {
        symbol: "diamond-open",
        size: 11,
        color: PALETTE[1],
        line: { width: 2, color: PALETTE[1] },
      },
      hovertemplate: "paper: %{x}<extra></extra>",
    },
  ];

  const [low, high] = extent([...rows, ...papers.map(({ paper }) => ({ mean: paper! }))]);
  // Two digits of the largest difference, two decimals at least.
  const digits = 1 - Math.floor(Math.log10(Math.max(Math.abs(low), Math.abs(high)) || 1));
  const decimals = Math.min(6, Math.max(2, digits));
  const pad = 0.06 * (Math.max(high, 0) - Math.min(low, 0) || 1);
  const heading = {
    title: options.title ?? "Ablations",
    subtitle: `difference to ${reference}, same seeds; ${
      estimateCaption(rows, options.interval)
    }; hollow: the interval holds zero`,
    width: options.width ?? 820,
    headroom: 44, // for the legend
  };
  const top = topMargin(heading);
  return {
    data: traces.filter(({ x }) => x!.length > 0),
    layout: baseLayout({
      ...heading,
      height: options.height ?? Math.round(top + 60 + 58 * rows.length),
      xaxis: axis({
        title: `difference in ${metric}`,
        range: [significant(Math.min(low, 0) - pad), significant(Math.max(high, 0) + pad)],
        zeroline: true,
        zerolinecolor: INK,
        zerolinewidth: 1.6,
      }),
      yaxis: axis({
        title: "ablation",
        tickvals: rows.map((_, index) => index),
        ticktext: rows.map(({ name, change }) =>
          change ? `${name}<br><span style="font-size:10px">${change}</span>` : name
        ),
        range: [rows.length - 0.4, -0.6],
      }),
      annotations: rows.map((row) => note(row, place(row), decimals)),
      legend: { orientation: "h", x: 0, xanchor: "left", y: 1.02, yanchor: "bottom" },
      margin: { l: 64, r: 190, t: top, b: 60 },
    }),
  };
}

function dots(
  name: string,
  rows: readonly PairedDifference[],
  place: (row: PairedDifference) => number,
  color: string,
  symbol: string,
): Trace {
  return {
    type: "scatter",
    mode: "markers",
    name,
    x: rows.map(({ mean }) => significant(mean)),
    y: rows.map(place),
    error_x: whiskers(rows, color),
    marker: { symbol, size: 11, color, line: { width: 2, color } },
    hovertemplate: "%{x}<extra></extra>",
  };
}

/** The numbers of a row at its right end. */
function note(row: PairedDifference, y: number, decimals: number): Json {
  const { mean, low, high } = row;
  const interval = low === undefined || high === undefined
    ? ""
    : ` [${signed(low, decimals)}, ${signed(high, decimals)}]`;
  const n = seedCount(row);
  const what = verdict(row);
  const strong = what === "higher" || what === "lower";
  return {
    text: `${signed(mean, decimals)}${interval}<br>${strong ? `<b>${what}</b>` : `<i>${what}</i>`}${
      n === undefined ? "" : `, n = ${n}`
    }`,
    x: 1.015,
    xref: "paper",
    xanchor: "left",
    align: "left",
    y,
    yanchor: "middle",
    showarrow: false,
    font: { size: 11, color: strong ? INK : "#555555" },
  };
}
