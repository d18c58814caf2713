/**
 * How evenly the layers use their experts.
 *
 * @module
 */

import type { Figure, Trace } from "./figure.ts";
import { round } from "./numbers.ts";
import { checkSummaries, type RoutingSummary } from "../study/routing_summary.ts";
import { axis, baseLayout, expertStyle, INK } from "./theme.ts";

/** Options of {@linkcode loadBalance}. */
export interface LoadBalanceOptions {
  /** Title; "Load of the experts" by default. */
  readonly title?: string;
  /** Name of the layer axis; "MoE layer" by default. */
  readonly layerAxis?: string;
  /** Width in CSS pixels. */
  readonly width?: number;
  /** Height in CSS pixels. */
  readonly height?: number;
}

/**
 * Draws the load of each expert relative to the layer's mean (1 is fair, 0 is a dead expert), and
 * writes the coefficient of variation under each layer. Several summaries are added up.
 *
 * @param routing One summary, or several of the same model.
 * @param options Title and size.
 * @returns A figure.
 * @throws {RangeError} If there is nothing to draw or the summaries name different experts.
 */
export function loadBalance(
  routing: RoutingSummary | readonly RoutingSummary[],
  options: LoadBalanceOptions = {},
): Figure {
  const summaries = checkSummaries(routing);
  const { experts } = summaries[0];
  const loads = layerLoads(summaries);
  const layers = [...loads.keys()].sort((a, b) => a - b);
  const ratios = layers.map((layer) => relative(loads.get(layer)!));
  const members = new Map<string, number>();

  const data = experts.map(({ name, group }, index): Trace => {
    const member = members.get(group) ?? 0;
    members.set(group, member + 1);
    const style = expertStyle(group, member, index);
    // The marker follows the expert, not its group, so that it stays unique in the figure.
    const marker = ["circle", "square", "diamond", "triangle-up", "triangle-down", "x", "star"];
    return {
      type: "scatter",
      mode: "lines+markers",
      name: `${name} (${group})`,
      x: layers.map((_, position) => position),
      y: ratios.map((ratio) => round(ratio[index])),
      line: { color: style.color, width: 1.5, dash: style.dash },
      marker: {
        color: style.color,
        size: 10,
        symbol: marker[index % marker.length],
        line: { color: INK, width: 0.8 },
      },
    };
  });
  return {
    data,
    layout: baseLayout({
      title: options.title ?? "Load of the experts",
      subtitle: "choices relative to the layer's mean; CV: coefficient of variation",
      width: options.width ?? Math.max(560, 260 + layers.length * 56),
      height: options.height,
      xaxis: axis({
        title: options.layerAxis ?? "MoE layer",
        tickvals: layers.map((_, position) => position),
        ticktext: layers.map((layer, position) => `${layer}<br>CV ${variation(ratios[position])}`),
        range: [-0.5, layers.length - 0.5],
        showgrid: false,
      }),
      yaxis: axis({ title: "load / mean load", rangemode: "tozero" }),
      shapes: [{
        type: "line",
        xref: "paper",
        x0: 0,
        x1: 1,
        y0: 1,
        y1: 1,
        line: { color: INK, width: 1.5, dash: "dash" },
      }],
      annotations: [{
        text: "fair",
        x: 1,
        xref: "paper",
        xanchor: "right",
        y: 1,
        yanchor: "bottom",
        showarrow: false,
        font: { size: 11 },
      }],
    }),
  };
}

/** Choices per expert, over modalities and summaries, by layer. */
function layerLoads(summaries: readonly RoutingSummary[]): Map<number, number[]> {
  const loads = new Map<number, number[]>();
  for (const { experts, layers } of summaries) {
    for (const { layer, modalities } of layers) {
      const sum = loads.get(layer) ?? experts.map(() => 0);
      for (const { counts } of modalities) counts.forEach((count, expert) => sum[expert] += count);
      loads.set(layer, sum);
    }
  }
  return loads;
}

function relative(load: readonly number[]): number[] {
  const mean = load.reduce((sum, count) => sum + count, 0) / load.length;
  return load.map((count) => (mean > 0 ? count / mean : 0));
}

/** Standard deviation of loads whose mean is 1. */
function variation(ratio: readonly number[]): string {
  return Math.sqrt(ratio.reduce((sum, r) => sum + (r - 1) ** 2, 0) / ratio.length).toFixed(2);
}
