/**
 * The most common ways through the layers, as ribbons.
 *
 * Drawn from polygons, because the small plotly bundle has no Sankey diagrams.
 *
 * @module
 */

import type { Figure, Json, Trace } from "./figure.ts";
import { percent, round } from "./numbers.ts";
import { panelSuffix, panelTitle, stack } from "./panels.ts";
import { apart, arrange, GAP, outline, type Ribbon } from "./path_layout.ts";
import { axis, baseLayout, INK, MUTED, PALETTE, topMargin } from "./theme.ts";

/** One way through the layers. */
export interface ExpertPath {
  /** The expert chosen in each layer, shallowest first: `"S1"`, or a pattern such as `"V1+S2"`. */
  readonly experts: readonly string[];
  /** Number of tokens that took it. */
  readonly tokens: number;
}

/** The ways that the tokens of one modality took. */
export interface PathCounts {
  /** Modality of the tokens. */
  readonly modality: string;
  /** Numbers of the layers, shallowest first. */
  readonly layers: readonly number[];
  /** The paths, in any order; the rare ones may be left out. */
  readonly paths: readonly ExpertPath[];
  /** Tokens of all paths; the sum of the given ones by default. */
  readonly tokens?: number;
}

/** Options of {@linkcode pathFlow}. */
export interface PathFlowOptions {
  /** Title; "Most common expert paths" by default. */
  readonly title?: string;
  /** Number of paths drawn for each modality; 6 by default. */
  readonly top?: number;
  /** Order of the experts from the top; alphabetical by default. */
  readonly order?: readonly string[];
  /** What an entry of a path is; "expert with the largest weight" by default. */
  readonly choice?: string;
  /** Name of the layer axis; "MoE layer" by default. */
  readonly layerAxis?: string;
  /** Width in CSS pixels. */
  readonly width?: number;
  /** Height in CSS pixels. */
  readonly height?: number;
}

const PANEL_HEIGHT = 290;
/** Pixels of a letter in a node. */
const LETTER = 7;
/** Smallest distance of two labels, in shares: a line of text. */
const LABEL = 0.062;

/**
 * Draws the most common expert paths of each modality as ribbons from layer to layer, as wide as
 * their share of the tokens and numbered by rank. The shares stand at the left, the paths at the
 * right, and what all other paths hold together is stated and drawn as the grey ribbon below.
 *
 * @param flows The paths of each modality.
 * @param options Title, number of paths and size.
 * @returns A figure.
 * @throws {RangeError} If there are no paths, or one names another number of experts than there are
 * layers.
 */
export function pathFlow(
  flows: PathCounts | readonly PathCounts[],
  options: PathFlowOptions = {},
): Figure {
  const list = "paths" in flows ? [flows] : flows;
  check(list);
  const top = options.top ?? 6;
  const layerCount = Math.max(...list.map(({ layers }) => layers.length));
  const heading = {
    title: options.title ?? "Most common expert paths",
    subtitle: `width of a ribbon: share of the tokens; entry of a path: ${
      options.choice ?? "expert with the largest weight"
    }; numbers: the most common paths of each modality, at most ${top}`,
    width: options.width ?? Math.min(1100, Math.max(720, 330 + 90 * layerCount)),
    headroom: 20,
  };
  const margin = topMargin(heading);
  const letters = Math.max(
    ...list.flatMap(({ paths }) => paths.flatMap(({ experts }) => experts.map((e) => e.length))),
  );
  const height = options.height ??
    Math.round(margin + list.length * PANEL_HEIGHT + (list.length - 1) * 84 + 60);
  const domains = stack(list.map(() => 1), 84 / (height - margin - 60));

  const data: Trace[] = [];
  const axes: Record<string, Json> = {};
  const shapes: Json[] = [];
  const annotations: Json[] = [];
  list.forEach((flow, index) => {
    const suffix = panelSuffix(index);
    const total = flow.tokens ?? flow.paths.reduce((sum, { tokens }) => sum + tokens, 0);
    const { ribbons, nodes, bottom } = arrange(flow, total, top, options.order);
    const rest = 1 - ribbons.reduce((sum, { share }) => sum + share, 0);
    const restTop = bottom + GAP;
    const lowest = restTop + Math.max(rest, 0);
    const last = flow.layers.length - 1;
    const range = [
      -0.3 - 0.14 * (last + 1),
      last + 0.3 + (layerCount <= 5 ? 0.3 : 0.06) * (last + 1),
    ];
    /** Half the width of a node, in layers: room for the longest name. */
    const node = round((LETTER * letters + 3) / 2 * (range[1] - range[0]) / (heading.width - 90));
    data.push(...ribbons.map((ribbon) => ribbonTrace(ribbon, node, suffix)));
    if (rest > 5e-4) data.push(restTrace(restTop, rest, last, node, suffix));
    for (const { name, layer, top, bottom } of nodes) {
      shapes.push({
        type: "rect",
        xref: `x${suffix}`,
        yref: `y${suffix}`,
        x0: round(layer - node),
        x1: round(layer + node),
        y0: top,
        y1: bottom,
        fillcolor: INK,
        line: { width: 0 },
      });
      annotations.push({
        ...label(`<b>${name}</b>`, layer, (top + bottom) / 2, suffix, "center", "middle"),
        font: { size: 11, color: "#ffffff" },
        // So that the name can be read where it is taller than its node.
        bgcolor: INK,
        borderpad: 0,
      });
    }
    const entries = [
      ...ribbons.map((ribbon) => ({
        text: `<b>${ribbon.rank}</b>  ${percent(ribbon.share)} %`,
        end: `<b>${ribbon.rank}</b>${
          layerCount <= 5 ? `  ${ribbon.path.experts.join(" → ")}` : ""
        }`,
        left: ribbon.tops[0] + ribbon.share / 2,
        right: ribbon.tops[last] + ribbon.share / 2,
      })),
      ...(rest > 5e-4
        ? [{
          text: `others  ${percent(rest)} %`,
          end: layerCount <= 5 ? "all other paths" : "",
          left: restTop + rest / 2,
          right: restTop + rest / 2,
        }]
        : []),
    ];
    for (const [side, x, anchor] of [["left", -0.34, "right"], ["right", last + 0.34, "left"]]) {
      const places = entries.map((entry) => entry[side as "left" | "right"]);
      const spread = apart(places, LABEL);
      const inner = side === "left" ? -node : last + node;
      entries.forEach((entry, i) => {
        const text = side === "left" ? entry.text : entry.end;
        if (text === "") return;
        annotations.push(label(text, x as number, spread[i], suffix, anchor as string, "middle"));
        shapes.push({
          type: "line",
          xref: `x${suffix}`,
          yref: `y${suffix}`,
          x0: round((x as number) + (side === "left" ? 0.03 : -0.03)),
          y0: round(spread[i]),
          x1: round(inner),
          y1: round(places[i]),
          line: { color: MUTED, width: 0.8 },
        });
      });
    }
    axes[`xaxis${suffix}`] = axis({
      title: options.layerAxis ?? "MoE layer",
      anchor: `y${suffix}`,
      tickvals: flow.layers.map((_, place) => place),
      ticktext: flow.layers.map(String),
      range: range.map((end) => round(end)),
      showgrid: false,
      showline: false,
    });
    axes[`yaxis${suffix}`] = axis({
      title: "tokens (share)",
      anchor: `x${suffix}`,
      domain: domains[index],
      range: [round(Math.max(lowest, 1) + 0.06), -0.08],
      showgrid: false,
      showline: false,
      ticks: "",
      showticklabels: false,
    });
    annotations.push(
      panelTitle(
        `<b>${flow.modality} tokens</b> (n = ${total.toLocaleString("en-US")})`,
        0,
        domains[index][1],
      ),
    );
  });
  return {
    data,
    layout: baseLayout({ ...heading, height, ...axes, shapes, annotations, showlegend: false }),
  };
}

function check(list: readonly PathCounts[]): void {
  if (list.length === 0) throw new RangeError("pathFlow() needs paths of one modality, got none.");
  for (const { modality, layers, paths } of list) {
    if (paths.length === 0 || layers.length === 0) {
      throw new RangeError(`pathFlow() needs at least one path of ${modality} tokens, got none.`);
    }
    const wrong = paths.find(({ experts }) => experts.length !== layers.length);
    if (wrong) {
      throw new RangeError(
        `Path [${wrong.experts.join(", ")}] of ${modality} tokens names ${wrong.experts.length} ` +
          `experts for ${layers.length} layers.`,
      );
    }
  }
}

function ribbonTrace({ rank, path, share, tops }: Ribbon, node: number, suffix: string): Trace {
  const edge = outline(tops, node);
  const color = PALETTE[(rank - 1) % PALETTE.length];
  return {
    type: "scatter",
    mode: "lines",
    name: `${rank}: ${path.experts.join(" → ")} (${percent(share)} %)`,
    xaxis: `x${suffix}`,
    yaxis: `y${suffix}`,
    x: [...edge, ...edge.toReversed()].map(([x]) => round(x, 3)),
    y: [
      ...edge.map(([, y]) => round(y)),
      ...edge.toReversed().map(([, y]) => round(y + share)),
    ],
    fill: "toself",
    fillcolor: `${color}b0`,
    line: { color: INK, width: 0.7 },
    hoveron: "fills",
  };
}

function restTrace(
  top: number,
  share: number,
  last: number,
  node: number,
  suffix: string,
): Trace {
  return {
    type: "scatter",
    mode: "lines",
    name: `all other paths (${percent(share)} %)`,
    xaxis: `x${suffix}`,
    yaxis: `y${suffix}`,
    x: [-node, last + node, last + node, -node].map((x) => round(x)),
    y: [top, top, top + share, top + share].map((y) => round(y)),
    fill: "toself",
    fillcolor: "#e2e2e2",
    line: { color: MUTED, width: 0.7, dash: "dot" },
    hoveron: "fills",
  };
}

function label(
  text: string,
  x: number,
  y: number,
  suffix: string,
  xanchor: string,
  yanchor: string,
): { readonly [attribute: string]: Json } {
  return {
    text,
    x,
    xref: `x${suffix}`,
    xanchor,
    align: xanchor,
    y: round(y),
    yref: `y${suffix}`,
    yanchor,
    showarrow: false,
    font: { size: 11 },
  };
}
