/**
 * Dense models made from single experts, against the model they were taken from (the paper's
 * table 6).
 *
 * @module
 */

import {
  type Estimate,
  estimateCaption,
  extent,
  type IntervalOptions,
  whiskers,
} from "./estimate.ts";
import type { Figure, Json, Trace } from "./figure.ts";
import { round } from "./numbers.ts";
import { cell, panelSuffix, panelTitle, stack } from "./panels.ts";
import { axis, baseLayout, expertStyle, INK, MUTED, topMargin } from "./theme.ts";

/** A model with one kind of expert left. */
export interface KeptExperts extends Estimate {
  /** What was kept: "V1", "mean of S", "language experts". */
  readonly kept: string;
  /** Group of the kept experts, for the style of the dot: "vision", "language", "shared". */
  readonly group?: string;
}

/** Scores on one benchmark, in the unit of the figure. */
export interface ExpertBenchmark {
  /** Name of the benchmark or family. */
  readonly benchmark: string;
  /** Where the scores are from: "here" by default, or "paper, table 6". Every source has a row. */
  readonly source?: string;
  /** The models with fewer experts, top row first. */
  readonly rows: readonly KeptExperts[];
  /** The model with all its experts. */
  readonly full?: Estimate;
  /** Score of the best answer without the picture. */
  readonly floor?: number;
  /** Score of a random answer. */
  readonly chance?: number;
}

/** Options of {@linkcode expertAnalysis}. */
export interface ExpertAnalysisOptions extends IntervalOptions {
  /** Title; "Models that keep one kind of expert" by default. */
  readonly title?: string;
  /** Name of the score with its unit; "accuracy (%)" by default. */
  readonly scoreName?: string;
  /** Width in CSS pixels. */
  readonly width?: number;
  /** Height in CSS pixels. */
  readonly height?: number;
}

/**
 * Draws the scores of models that keep one kind of expert as dots, one panel a benchmark, with the
 * full model as a vertical line (its interval as a grey band), and the blind floor and chance where
 * they are given.
 *
 * @param benchmarks One entry a benchmark and source.
 * @param options Title, names and size.
 * @returns A figure.
 * @throws {RangeError} If there are no benchmarks, or one has no rows.
 */
export function expertAnalysis(
  benchmarks: readonly ExpertBenchmark[],
  options: ExpertAnalysisOptions = {},
): Figure {
  const empty = benchmarks.find(({ rows }) => rows.length === 0);
  if (benchmarks.length === 0 || empty) {
    throw new RangeError(
      `expertAnalysis() needs benchmarks with rows, got ${
        empty ? `none for "${empty.benchmark}"` : "0 benchmarks"
      }.`,
    );
  }
  const sources = [...new Set(benchmarks.map(({ source }) => source ?? "here"))];
  const rowsOf = (source: string): ExpertBenchmark[] =>
    benchmarks.filter((entry) => (entry.source ?? "here") === source);
  const columns = Math.max(...sources.map((source) => rowsOf(source).length));
  const names = sources.map((source) => [
    ...new Set(rowsOf(source).flatMap(({ rows }) => rows.map(({ kept }) => kept))),
  ]);
  const estimates = benchmarks.flatMap(({ rows, full }) => [...rows, ...(full ? [full] : [])]);
  const measured = estimates.filter(({ seeds, n, low }) => seeds ?? n ?? low);
  const heading = {
    title: options.title ?? "Models that keep one kind of expert",
    subtitle: `${estimateCaption(measured, options.interval)}; vertical line: the model with all ` +
      "its experts (band: its interval)",
    width: options.width ?? Math.min(1100, Math.max(720, 270 + 190 * columns)),
    headroom: 20,
  };
  const top = topMargin(heading);
  const inner = names.reduce((sum, list) => sum + 34 * list.length, 0);
  const height = options.height ?? Math.round(top + 60 + inner + 84 * (sources.length - 1));
  const heights = stack(names.map(({ length }) => length), 84 / (height - top - 60));

  const data: Trace[] = [];
  const axes: Record<string, Json> = {};
  const annotations: Json[] = [];
  const shapes: Json[] = [];
  const drawn = new Set<string>();
  let panel = 0;
  sources.forEach((source, row) => {
    rowsOf(source).forEach((entry, column) => {
      const suffix = panelSuffix(panel++);
      const xDomain = cell(column, columns, 0.05);
      for (const trace of panelTraces(entry, names[row], suffix)) {
        const first = trace.legendgroup !== undefined && !drawn.has(trace.legendgroup as string);
        if (first) drawn.add(trace.legendgroup as string);
        data.push({ ...trace, showlegend: first });
      }
      shapes.push(...band(entry.full, suffix));
      axes[`xaxis${suffix}`] = axis({
        title: options.scoreName ?? "accuracy (%)",
        domain: xDomain,
        anchor: `y${suffix}`,
        range: reach(entry),
        nticks: 5,
      });
      axes[`yaxis${suffix}`] = axis({
        title: column === 0 ? "experts kept" : "",
        domain: heights[row],
        anchor: `x${suffix}`,
        tickvals: names[row].map((_, place) => place),
        ticktext: names[row],
        showticklabels: column === 0,
        range: [names[row].length - 0.5, -0.5],
      });
      annotations.push(
        panelTitle(`<b>${entry.benchmark}</b>, ${source}`, xDomain[0], heights[row][1]),
      );
    });
  });
  return { data, layout: baseLayout({ ...heading, height, ...axes, shapes, annotations }) };
}

/** Range of a panel's axis: all marks, and some air. */
function reach({ rows, full, floor, chance }: ExpertBenchmark): [number, number] {
  const levels = [floor, chance].flatMap((mean) => (mean === undefined ? [] : [{ mean }]));
  const [low, high] = extent([...rows, ...(full ? [full] : []), ...levels]);
  const pad = 0.1 * (high - low || 1);
  return [round(low - pad, 2), round(high + pad, 2)];
}

/** The interval of the full model. */
function band(full: Estimate | undefined, suffix: string): Json[] {
  if (full?.low === undefined || full.high === undefined) return [];
  return [{
    type: "rect",
    xref: `x${suffix}`,
    yref: `y${suffix} domain`,
    x0: round(full.low, 2),
    x1: round(full.high, 2),
    y0: 0,
    y1: 1,
    fillcolor: "#d9d9d9",
    line: { width: 0 },
    layer: "below",
  }];
}

function panelTraces(entry: ExpertBenchmark, names: readonly string[], suffix: string): Trace[] {
  const axes = { xaxis: `x${suffix}`, yaxis: `y${suffix}` };
  const levels = [
    ["all experts", entry.full?.mean, INK, "solid"],
    ["blind floor", entry.floor, INK, "dash"],
    ["chance", entry.chance, MUTED, "dot"],
  ] as const;
  const lines = levels.flatMap(([name, level, color, dash]): Trace[] =>
    level === undefined ? [] : [{
      type: "scatter",
      mode: "lines",
      name,
      legendgroup: name,
      ...axes,
      x: [round(level, 2), round(level, 2)],
      y: [-0.5, names.length - 0.5],
      line: { color, width: 1.8, dash },
      hovertemplate: `${name}: %{x}<extra></extra>`,
    }]
  );
  const ticks = entry.rows.flatMap(({ kept, seeds = [] }) =>
    seeds.map((value) => ({ x: round(value, 2), y: names.indexOf(kept) }))
  );
  const seedTicks: Trace = {
    type: "scatter",
    mode: "markers",
    name: "single seeds",
    legendgroup: "single seeds",
    ...axes,
    x: ticks.map(({ x }) => x),
    y: ticks.map(({ y }) => y + 0.26),
    marker: { symbol: "line-ns-open", size: 7, color: MUTED, line: { width: 1.2, color: MUTED } },
    hoverinfo: "skip",
  };
  const groups = [...new Set(entry.rows.map(({ group }) => group ?? ""))];
  const dots = groups.map((group): Trace => {
    const rows = entry.rows.filter((row) => (row.group ?? "") === group);
    const { color } = expertStyle(group, 0, 6);
    return {
      type: "scatter",
      mode: "markers",
      name: group ? `${group} kept` : "kept",
      legendgroup: `kept ${group}`,
      ...axes,
      x: rows.map(({ mean }) => round(mean, 2)),
      y: rows.map(({ kept }) => names.indexOf(kept)),
      error_x: whiskers(rows, color),
      marker: {
        symbol: { shared: "circle", vision: "square", language: "diamond" }[group] ?? "triangle-up",
        size: 10,
        color,
        line: { color: INK, width: 0.6 },
      },
      customdata: rows.map(({ kept }) => kept),
      hovertemplate: "%{customdata}: %{x}<extra></extra>",
    };
  });
  return [...lines, ...(ticks.length > 0 ? [seedTicks] : []), ...dots];
}
