/**
 * Which experts the tokens of each modality used, layer by layer (the paper's figure 6).
 *
 * @module
 */

import type { Figure, Json, Trace } from "./figure.ts";
import { whiskers } from "./estimate.ts";
import { round } from "./numbers.ts";
import { cell, panelSuffix, panelTitle } from "./panels.ts";
import { type StackedBar, stackedBar, type StackPart, stackParts } from "./stacked_shares.ts";
import {
  checkSummaries,
  countsOf,
  type ModalityCounts,
  modalityNames,
  type RoutingSummary,
} from "../study/routing_summary.ts";
import { axis, barMarker, baseLayout, expertStyle, INK, topMargin } from "./theme.ts";

/** Options of {@linkcode activationProportions}. */
export interface ActivationProportionsOptions {
  /** Title; "Activated experts by layer" by default. */
  readonly title?: string;
  /** Name of the layer axis; "MoE layer" by default. */
  readonly layerAxis?: string;
  /** Width in CSS pixels. */
  readonly width?: number;
  /** Height in CSS pixels. */
  readonly height?: number;
}

/**
 * Draws the share of the top-k choices that each expert got: one row of panels a modality, one
 * column a benchmark, one stacked bar a layer. Shared experts are at the bottom of the stack, so
 * the top of their part can be compared with the dashed line: the share that a random choice
 * would give them.
 *
 * Several summaries of one benchmark are seeds: bars are means over them, whiskers at the edges
 * between parts reach from the lowest to the highest seed, and the experts of a group are ordered
 * by use in every seed, because their numbers mean nothing across seeds.
 *
 * @param routing One summary, or one or several a benchmark; all with the same experts.
 * @param options Title and size.
 * @returns A figure.
 * @throws {RangeError} If there is nothing to draw or the summaries name different experts.
 */
export function activationProportions(
  routing: RoutingSummary | readonly RoutingSummary[],
  options: ActivationProportionsOptions = {},
): Figure {
  const summaries = checkSummaries(routing);
  const modalities = modalityNames(summaries);
  const benchmarks = byBenchmark(summaries);
  const seeds = benchmarks.map(({ length }) => length);
  const ranked = Math.max(...seeds) > 1;
  const parts = stackParts(summaries[0], ranked);
  const layerCount = Math.max(...summaries.map((summary) => summary.layers.length));
  const labels = layerCount * benchmarks.length <= 16;
  const panelWidth = Math.min(Math.max(160, 70 + layerCount * 30), 870 / benchmarks.length);
  // A label takes 24 pixels.
  const stride = Math.ceil((24 * layerCount) / panelWidth);
  const width = options.width ?? Math.max(560, 230 + benchmarks.length * panelWidth);

  const data: Trace[] = [];
  const axes: Record<string, Json> = {};
  const annotations: Json[] = [];
  const hasShared = parts.some(({ group }) => group === "shared");

  modalities.forEach((modality, row) => {
    benchmarks.forEach((runs, column) => {
      const panel = row * benchmarks.length + column;
      const suffix = panelSuffix(panel);
      const [summary] = runs;
      const counts = summary.layers.map(({ layer }) =>
        runs.map((run) => countsOf(run, layer, modality))
      );
      const bars = counts.map((entries) => stackedBar(entries, parts, ranked));
      const first = panel === 0;
      parts.forEach((part, place) => {
        data.push(partBars(part, place, bars, suffix, first, labels));
      });
      const firsts = counts.map(([entry]) => entry);
      if (hasShared) data.push(chanceLine(firsts, suffix, first, labels, ranked));
      if (runs.length > 1) data.push(seedRanges(bars, suffix, first));

      const xDomain = cell(column, benchmarks.length, 0.06 / benchmarks.length);
      const yDomain = cell(modalities.length - 1 - row, modalities.length, 0.13);
      const lowest = row === modalities.length - 1;
      axes[`xaxis${suffix}`] = axis({
        title: lowest ? options.layerAxis ?? "MoE layer" : "",
        domain: xDomain,
        anchor: `y${suffix}`,
        tickvals: summary.layers.map((_, index) => index),
        ticktext: summary.layers.map(({ layer }, index) => index % stride === 0 ? `${layer}` : ""),
        tickangle: 0,
        range: [-0.6, summary.layers.length - 0.4],
        showgrid: false,
        showticklabels: true,
      });
      axes[`yaxis${suffix}`] = axis({
        title: column === 0 ? "share of choices" : "",
        domain: yDomain,
        anchor: `x${suffix}`,
        range: [0, 1],
        tickvals: [0, 0.25, 0.5, 0.75, 1],
        tickformat: ".0%",
        showticklabels: column === 0,
      });
      const benchmark = row === 0 ? summary.benchmark : undefined;
      annotations.push(panelTitle(heading(modality, benchmark, counts), xDomain[0], yDomain[1]));
    });
  });

  const hasBenchmarks = summaries.some(({ benchmark }) => benchmark);
  const titles = {
    title: options.title ?? "Activated experts by layer",
    subtitle:
      (hasShared
        ? "dashed line: share of the shared experts under random choice"
        : "share of the top-k choices") +
      (ranked
        ? `; mean of n = ${
          [...new Set(seeds)].join(" or ")
        } seeds, whiskers: lowest to highest seed`
        : ""),
    width,
    headroom: hasBenchmarks ? 20 : 4,
  };
  const top = topMargin(titles);
  // Further lines of the subtitle make the figure higher, not the panels smaller.
  const height = options.height ??
    Math.round(150 + modalities.length * 190 + top - (76 + titles.headroom));
  return {
    data,
    layout: baseLayout({
      ...titles,
      height,
      margin: { l: 64, r: 24, t: top, b: 60 },
      ...axes,
      annotations,
      barmode: "stack",
      bargap: 0.15,
      legend: { x: 1.01, xanchor: "left", y: 1, yanchor: "top", traceorder: "reversed" },
    }),
  };
}

/** Summaries of the same benchmark together, in order of first appearance. */
function byBenchmark(summaries: readonly RoutingSummary[]): RoutingSummary[][] {
  const names = [...new Set(summaries.map(({ benchmark }) => benchmark ?? ""))];
  return names.map((name) => summaries.filter(({ benchmark }) => (benchmark ?? "") === name));
}

function partBars(
  { name, title, group, member, index }: StackPart,
  place: number,
  bars: readonly StackedBar[],
  suffix: string,
  showlegend: boolean,
  labelled: boolean,
): Trace {
  const shares = bars.map(({ shares }) => shares[place]);
  const choices = bars.flatMap(({ choices }) => (choices ? [choices[place]] : []));
  return {
    type: "bar",
    name: title,
    legendgroup: name,
    showlegend,
    x: shares.map((_, layer) => layer),
    y: shares,
    xaxis: `x${suffix}`,
    yaxis: `y${suffix}`,
    marker: barMarker(expertStyle(group, member, index)),
    ...(choices.length > 0 ? { customdata: choices } : {}),
    hovertemplate: `${name}: %{y:.1%}${
      choices.length > 0 ? " (%{customdata} choices)" : ""
    }<extra></extra>`,
    ...(labelled
      ? {
        text: shares.map((value) => value >= 0.09 ? `<b>${name}</b>` : ""),
        textposition: "inside",
        insidetextanchor: "middle",
        textangle: 0,
        insidetextfont: { color: "#ffffff", size: 11 },
      }
      : {}),
  };
}

/** Whiskers where one part of a bar ends and the next begins; the top of a bar never moves. */
function seedRanges(bars: readonly StackedBar[], suffix: string, showlegend: boolean): Trace {
  const points = bars.flatMap(({ edges }, layer) =>
    edges.filter(({ low, high }, place) =>
      low > 0 && low < 0.9999 && (place === 0 || high > edges[place - 1].high)
    ).map((edge) => ({ layer, ...edge }))
  );
  return {
    type: "scatter",
    mode: "markers",
    name: "range over seeds",
    legendgroup: "range",
    showlegend,
    x: points.map(({ layer }) => layer),
    y: points.map(({ mean }) => round(mean)),
    xaxis: `x${suffix}`,
    yaxis: `y${suffix}`,
    error_y: whiskers(points, INK),
    marker: { symbol: "line-ew-open", size: 8, color: INK, line: { width: 1.4, color: INK } },
    hovertemplate: "edge between two parts: %{y:.1%}<extra></extra>",
  };
}

/**
 * The chance level over each bar, because it may change with the layer's pools. The middle of the
 * bar is left free where the experts' names stand.
 */
function chanceLine(
  counts: readonly (ModalityCounts | undefined)[],
  suffix: string,
  showlegend: boolean,
  labelled: boolean,
  ranked: boolean,
): Trace {
  const gap = ranked ? 0.34 : 0.15;
  const offsets = labelled ? [-0.5, -gap, null, gap, 0.5, null] : [-0.5, 0.5, null];
  return {
    type: "scatter",
    mode: "lines",
    name: "chance, shared",
    legendgroup: "chance",
    showlegend,
    x: counts.flatMap((_, layer) =>
      offsets.map((offset) => offset === null ? null : round(layer + offset))
    ),
    y: counts.flatMap((entry) =>
      offsets.map((offset) => offset === null ? null : round(entry?.chanceShared ?? 0))
    ),
    xaxis: `x${suffix}`,
    yaxis: `y${suffix}`,
    line: { color: INK, width: 2, dash: "6px,3px" },
    hovertemplate: "chance level of the shared experts: %{y:.1%}<extra></extra>",
  };
}

function heading(
  modality: string,
  benchmark: string | undefined,
  counts: readonly (readonly (ModalityCounts | undefined)[])[],
): string {
  const tokens = counts.flat().find((entry) => entry)?.tokens ?? 0;
  const name = benchmark ? `<b>${benchmark}</b><br>` : "";
  return `${name}${modality} tokens (${tokens.toLocaleString("en-US")})`;
}
