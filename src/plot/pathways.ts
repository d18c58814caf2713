/**
 * Token pathways: which experts the image and the text tokens take, layer by layer (the paper's
 * figure 4).
 *
 * @module
 */

import {
  checkSummaries,
  countsOf,
  modalityNames,
  type RoutingSummary,
} from "../study/routing_summary.ts";
import type { Figure, Json, Trace } from "./figure.ts";
import { round } from "./numbers.ts";
import { cell, panelSuffix, panelTitle, stack } from "./panels.ts";
import { axis, baseLayout, INK, topMargin } from "./theme.ts";

/** Options of {@linkcode pathways}. */
export interface PathwaysOptions {
  /** Title; "Token pathways" by default. */
  readonly title?: string;
  /** Name of the layer axis; "MoE layer" by default. */
  readonly layerAxis?: string;
  /** Names of the experts that a modality may use, by modality; others are marked "×". */
  readonly pools?: Readonly<Record<string, readonly string[]>>;
  /** Width in CSS pixels. */
  readonly width?: number;
  /** Height in CSS pixels. */
  readonly height?: number;
}

/** More layers than this do not fit side by side with numbers in the cells. */
const SIDE_BY_SIDE = 8;

/** White to dark blue: grey prints keep the order. */
const COLORS: Json = [[0, "#f7fbff"], [0.25, "#c6dbef"], [0.5, "#6baed6"], [0.75, "#2171b5"], [
  1,
  "#08306b",
]];

/**
 * Draws a map a modality: layers across, experts up, the share of the layer's top-k choices in
 * percent written in each cell and shown by its darkness. Maps stand side by side while the layers
 * fit, else below each other. Several summaries are added up.
 *
 * @param routing One summary, or several of the same model.
 * @param options Title, pools and size.
 * @returns A figure.
 * @throws {RangeError} If there is nothing to draw or the summaries name different experts.
 */
export function pathways(
  routing: RoutingSummary | readonly RoutingSummary[],
  options: PathwaysOptions = {},
): Figure {
  const summaries = checkSummaries(routing);
  const { experts } = summaries[0];
  const modalities = modalityNames(summaries);
  const layers = [...new Set(summaries.flatMap((s) => s.layers.map(({ layer }) => layer)))]
    .sort((a, b) => a - b);
  const columns = layers.length <= SIDE_BY_SIDE ? modalities.length : 1;
  const rows = Math.ceil(modalities.length / columns);
  const panelHeight = 40 * experts.length;
  const heading = {
    title: options.title ?? "Token pathways",
    subtitle: `numbers: % of the layer's top-k choices for tokens of the modality${
      options.pools ? "; ×: the modality may not use this expert" : ""
    }${summaries.length > 1 ? `; sum of ${summaries.length} sets of questions` : ""}`,
    width: options.width ??
      Math.max(720, 130 + columns * (60 + layers.length * 46)),
    headroom: 20,
  };
  const top = topMargin(heading);
  const height = options.height ?? Math.round(top + 60 + rows * panelHeight + (rows - 1) * 90);
  const heights = stack(Array(rows).fill(1), 90 / (height - top - 60));

  const data: Trace[] = [];
  const axes: Record<string, Json> = {};
  const annotations: Json[] = [];
  modalities.forEach((modality, index) => {
    const suffix = panelSuffix(index);
    const counts = layers.map((layer) => added(summaries, layer, modality, experts.length));
    const pool = options.pools?.[modality];
    const allowed = experts.map(({ name }) => pool?.includes(name) ?? true);
    data.push(...mapTraces(counts, allowed, suffix, index === 0));
    const xDomain = cell(index % columns, columns, 0.08);
    const yDomain = heights[Math.floor(index / columns)];
    axes[`xaxis${suffix}`] = axis({
      title: options.layerAxis ?? "MoE layer",
      domain: xDomain,
      anchor: `y${suffix}`,
      tickvals: layers.map((_, place) => place),
      ticktext: layers.map(String),
      range: [-0.5, layers.length - 0.5],
      showgrid: false,
    });
    axes[`yaxis${suffix}`] = axis({
      title: index % columns === 0 ? "expert" : "",
      domain: yDomain,
      anchor: `x${suffix}`,
      tickvals: experts.map((_, place) => place),
      ticktext: experts.map(({ name }) => name),
      // The first expert on top, as in a table.
      range: [experts.length - 0.5, -0.5],
      showgrid: false,
    });
    const tokens = summaries.reduce((sum, summary) => sum + tokensOf(summary, modality), 0);
    annotations.push(
      panelTitle(
        `<b>${modality} tokens</b> (n = ${tokens.toLocaleString("en-US")})`,
        xDomain[0],
        yDomain[1],
      ),
    );
  });
  return { data, layout: baseLayout({ ...heading, height, ...axes, annotations }) };
}

function tokensOf(summary: RoutingSummary, modality: string): number {
  return countsOf(summary, summary.layers[0].layer, modality)?.tokens ?? 0;
}

/** Choices per expert, summed over summaries. */
function added(
  summaries: readonly RoutingSummary[],
  layer: number,
  modality: string,
  experts: number,
): number[] {
  const sum = Array<number>(experts).fill(0);
  for (const summary of summaries) {
    countsOf(summary, layer, modality)?.counts.forEach((count, expert) => sum[expert] += count);
  }
  return sum;
}

/** The map, and the numbers in its cells: dark ones on light cells, white ones on dark cells. */
function mapTraces(
  counts: readonly (readonly number[])[],
  allowed: readonly boolean[],
  suffix: string,
  showscale: boolean,
): Trace[] {
  const axes = { xaxis: `x${suffix}`, yaxis: `y${suffix}` };
  const shares = counts.map((layer) => {
    const total = layer.reduce((sum, count) => sum + count, 0);
    return layer.map((count) => (total > 0 ? count / total : 0));
  });
  const cells = allowed.flatMap((isAllowed, expert) =>
    shares.map((layer, place) => ({
      x: place,
      y: expert,
      text: isAllowed ? (100 * layer[expert]).toFixed(0) : "×",
      dark: isAllowed && layer[expert] > 0.55,
    }))
  );
  const texts = (dark: boolean): Trace => {
    const own = cells.filter((entry) => entry.dark === dark);
    return {
      type: "scatter",
      mode: "text",
      ...axes,
      x: own.map(({ x }) => x),
      y: own.map(({ y }) => y),
      text: own.map(({ text }) => text),
      textfont: { size: 12, color: dark ? "#ffffff" : INK },
      showlegend: false,
      hoverinfo: "skip",
    };
  };
  return [
    {
      type: "heatmap",
      name: "share of choices",
      ...axes,
      x: shares.map((_, place) => place),
      y: allowed.map((_, expert) => expert),
      z: allowed.map((isAllowed, expert) =>
        shares.map((layer) => (isAllowed ? round(100 * layer[expert], 2) : null))
      ),
      zmin: 0,
      zmax: 100,
      colorscale: COLORS,
      showscale,
      colorbar: {
        title: { text: "% of choices", side: "right" },
        thickness: 12,
        outlinewidth: 0,
        tickvals: [0, 25, 50, 75, 100],
      },
      hovertemplate: "%{z} % of the choices<extra></extra>",
    },
    texts(false),
    texts(true),
  ].filter(({ type, x }) => type === "heatmap" || (x as number[]).length > 0) as Trace[];
}
