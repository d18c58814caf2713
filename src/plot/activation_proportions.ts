/**
 * Which experts the tokens of each modality used, layer by layer (the paper's figure 6).
 *
 * @module
 */

import type { Figure, Json, Trace } from "./figure.ts";
import { round } from "./numbers.ts";
import { cell, panelSuffix, panelTitle } from "./panels.ts";
import {
  checkSummaries,
  type ModalityCounts,
  modalityNames,
  type RoutingSummary,
} from "../study/routing_summary.ts";
import { axis, barMarker, baseLayout, expertStyle, INK } from "./theme.ts";

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
 * @param routing One summary, or one a benchmark; all with the same experts.
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
  const experts = stackOrder(summaries[0]);
  const layerCount = Math.max(...summaries.map((summary) => summary.layers.length));
  const labels = layerCount * summaries.length <= 16;
  const panelWidth = Math.min(Math.max(160, 70 + layerCount * 30), 1300 / summaries.length);
  const width = options.width ?? Math.max(560, 230 + summaries.length * panelWidth);
  const height = options.height ?? 150 + modalities.length * 190;

  const data: Trace[] = [];
  const axes: Record<string, Json> = {};
  const annotations: Json[] = [];
  const hasShared = experts.some(({ group }) => group === "shared");

  modalities.forEach((modality, row) => {
    summaries.forEach((summary, column) => {
      const panel = row * summaries.length + column;
      const suffix = panelSuffix(panel);
      const counts = summary.layers.map(({ modalities }) =>
        modalities.find(({ name }) => name === modality)
      );
      const first = panel === 0;
      for (const expert of experts) {
        data.push(expertBars(expert, counts, suffix, first, labels));
      }
      if (hasShared) data.push(chanceLine(counts, suffix, first, labels));

      const xDomain = cell(column, summaries.length, 0.06 / summaries.length);
      const yDomain = cell(modalities.length - 1 - row, modalities.length, 0.13);
      const lowest = row === modalities.length - 1;
      axes[`xaxis${suffix}`] = axis({
        title: lowest ? options.layerAxis ?? "MoE layer" : "",
        domain: xDomain,
        anchor: `y${suffix}`,
        tickvals: summary.layers.map((_, index) => index),
        ticktext: summary.layers.map(({ layer }) => String(layer)),
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

  return {
    data,
    layout: baseLayout({
      title: options.title ?? "Activated experts by layer",
      subtitle: hasShared
        ? "dashed line: share of the shared experts under random choice"
        : "share of the top-k choices",
      width,
      height,
      margin: { l: 64, r: 24, t: summaries.some(({ benchmark }) => benchmark) ? 96 : 80, b: 60 },
      ...axes,
      annotations,
      barmode: "stack",
      bargap: 0.15,
      legend: { x: 1.01, xanchor: "left", y: 1, yanchor: "top", traceorder: "reversed" },
    }),
  };
}

interface StackedExpert {
  readonly index: number;
  readonly name: string;
  readonly group: string;
  readonly member: number;
}

/** Experts from the bottom of the stack to its top: shared ones first, then the others. */
function stackOrder({ experts }: RoutingSummary): StackedExpert[] {
  const members = new Map<string, number>();
  const numbered = experts.map(({ name, group }, index) => {
    const member = members.get(group) ?? 0;
    members.set(group, member + 1);
    return { index, name, group, member };
  });
  return [
    ...numbered.filter(({ group }) => group === "shared"),
    ...numbered.filter(({ group }) => group !== "shared"),
  ];
}

function expertBars(
  expert: StackedExpert,
  counts: readonly (ModalityCounts | undefined)[],
  suffix: string,
  showlegend: boolean,
  labelled: boolean,
): Trace {
  const shares = counts.map((entry) => share(entry, [expert.index]));
  const style = expertStyle(expert.group, expert.member, expert.index);
  return {
    type: "bar",
    name: `${expert.name} (${expert.group})`,
    legendgroup: expert.name,
    showlegend,
    x: counts.map((_, layer) => layer),
    y: shares,
    xaxis: `x${suffix}`,
    yaxis: `y${suffix}`,
    marker: barMarker(style),
    customdata: counts.map((entry) => entry?.counts[expert.index] ?? 0),
    hovertemplate: `${expert.name}: %{y:.1%} (%{customdata} choices)<extra></extra>`,
    ...(labelled
      ? {
        text: shares.map((value) => value >= 0.09 ? `<b>${expert.name}</b>` : ""),
        textposition: "inside",
        insidetextanchor: "middle",
        textangle: 0,
        insidetextfont: { color: "#ffffff", size: 11 },
      }
      : {}),
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
): Trace {
  const offsets = labelled ? [-0.5, -0.15, null, 0.15, 0.5, null] : [-0.5, 0.5, null];
  return {
    type: "scatter",
    mode: "lines",
    name: "chance, shared",
    legendgroup: "chance",
    showlegend,
    x: counts.flatMap((_, layer) =>
      offsets.map((offset) => offset === null ? null : layer + offset)
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
  counts: readonly (ModalityCounts | undefined)[],
): string {
  const tokens = counts.find((entry) => entry)?.tokens ?? 0;
  const name = benchmark ? `<b>${benchmark}</b><br>` : "";
  return `${name}${modality} tokens (${tokens.toLocaleString("en-US")})`;
}

/** Share of the choices that went to some experts; 0 where no token was routed. */
function share(entry: ModalityCounts | undefined, experts: readonly number[]): number {
  const total = entry?.counts.reduce((sum, count) => sum + count, 0) ?? 0;
  if (!entry || total === 0) return 0;
  return round(experts.reduce((sum, expert) => sum + entry.counts[expert], 0) / total);
}
