/**
 * How the load of the experts develops while a model trains.
 *
 * @module
 */

import type { ExpertName } from "../study/routing_summary.ts";
import type { Figure, Json, Trace } from "./figure.ts";
import { round } from "./numbers.ts";
import { cell, panelSuffix, panelTitle, stack } from "./panels.ts";
import { axis, baseLayout, expertStyle, INK, MARKERS, topMargin } from "./theme.ts";

/** Shares of the choices in one layer, step by step, for the tokens of one modality. */
export interface LoadHistory {
  /** Number of the layer. */
  readonly layer: number;
  /** Modality of the tokens; left out where all tokens are counted together. */
  readonly modality?: string;
  /** The experts that these tokens may use: the pool, in the order of `shares`. */
  readonly experts: readonly ExpertName[];
  /** Optimizer steps at which the choices were counted. */
  readonly steps: readonly number[];
  /** Share of the top-k choices, 0 to 1, `[experts][steps]`. */
  readonly shares: readonly (readonly number[])[];
}

/** Options of {@linkcode loadOverTraining}. */
export interface LoadOverTrainingOptions {
  /** Title; "Load of the experts over training" by default. */
  readonly title?: string;
  /** Panels in a row; as many as there are layers by default, 4 at most. */
  readonly columns?: number;
  /** Width in CSS pixels. */
  readonly width?: number;
  /** Height in CSS pixels. */
  readonly height?: number;
}

const PANEL_HEIGHT = 190;
/** Points a line; more are thinned evenly. */
const POINTS = 120;

/**
 * Draws the share of each expert over the training steps, one panel a layer and modality, with the
 * fair share (one divided by the number of experts that the tokens may use) as a dashed line.
 *
 * @param histories One history a layer and modality.
 * @param options Title and size.
 * @returns A figure.
 * @throws {RangeError} If there are no histories, or a history's lists have different lengths.
 */
export function loadOverTraining(
  histories: readonly LoadHistory[],
  options: LoadOverTrainingOptions = {},
): Figure {
  check(histories);
  const modalities = [...new Set(histories.map(({ modality }) => modality ?? ""))];
  // Layers of one modality follow each other, so that a row of panels shows one modality.
  const panels = modalities.flatMap((modality) =>
    histories.filter((history) => (history.modality ?? "") === modality)
      .toSorted((a, b) => a.layer - b.layer)
  );
  const perModality = Math.max(
    ...modalities.map((name) => panels.filter((p) => (p.modality ?? "") === name).length),
  );
  const columns = Math.min(options.columns ?? 4, perModality);
  const places = gridPlaces(panels, columns);
  const rows = Math.max(...places.map(({ row }) => row)) + 1;
  const heading = {
    title: options.title ?? "Load of the experts over training",
    subtitle: "share of the top-k choices; dashed grey line: fair share (1 / experts in the pool)",
    width: options.width ?? Math.min(1100, Math.max(720, 190 + 250 * columns)),
    headroom: 20,
  };
  const top = topMargin(heading);
  const height = options.height ?? Math.round(top + 60 + rows * PANEL_HEIGHT + (rows - 1) * 76);
  const heights = stack(Array(rows).fill(1), 76 / (height - top - 60));
  const experts = uniqueExperts(histories);
  const highest = Math.max(...histories.flatMap(({ shares }) => shares.flat()));

  const data: Trace[] = [];
  const axes: Record<string, Json> = {};
  const annotations: Json[] = [];
  const drawn = new Set<string>();
  panels.forEach((panel, index) => {
    const suffix = panelSuffix(index);
    const { row, column } = places[index];
    const xDomain = cell(column, columns, 0.06);
    data.push(fairLine(panel, suffix, index === 0));
    panel.experts.forEach((expert, i) => {
      data.push(shareLine(panel, i, experts.get(expert.name)!, suffix, !drawn.has(expert.name)));
      drawn.add(expert.name);
    });
    axes[`xaxis${suffix}`] = axis({
      title: "step",
      domain: xDomain,
      anchor: `y${suffix}`,
      nticks: 5,
    });
    axes[`yaxis${suffix}`] = axis({
      title: column === 0 ? "share of choices" : "",
      domain: heights[row],
      anchor: `x${suffix}`,
      range: [0, highest > 0.6 ? 1 : round(highest * 1.15, 2)],
      tickformat: ".0%",
      nticks: 5,
      showticklabels: column === 0,
    });
    const modality = panel.modality ? `, ${panel.modality} tokens` : "";
    annotations.push(panelTitle(`layer ${panel.layer}${modality}`, xDomain[0], heights[row][1]));
  });
  return { data, layout: baseLayout({ ...heading, height, ...axes, annotations }) };
}

function check(histories: readonly LoadHistory[]): void {
  if (histories.length === 0) {
    throw new RangeError("loadOverTraining() needs the history of at least one layer, got none.");
  }
  for (const { layer, modality = "all", experts, steps, shares } of histories) {
    if (shares.length !== experts.length || shares.some((line) => line.length !== steps.length)) {
      throw new RangeError(
        `Layer ${layer}, ${modality} tokens: shares must be ${experts.length} experts × ` +
          `${steps.length} steps, got ${shares.length} lists of ` +
          `[${shares.map((line) => line.length).join(", ")}].`,
      );
    }
  }
}

/** Row and column of every panel; a modality starts a new row. */
function gridPlaces(
  panels: readonly LoadHistory[],
  columns: number,
): { row: number; column: number }[] {
  let row = 0;
  let column = 0;
  return panels.map(({ modality }, index) => {
    const isNew = index > 0 && panels[index - 1].modality !== modality;
    if (index > 0) column++;
    if (isNew || column === columns) {
      row++;
      column = 0;
    }
    return { row, column };
  });
}

interface Drawn extends ExpertName {
  readonly index: number;
  readonly member: number;
}

/** Experts by name, numbered over all panels so that each keeps its style. */
function uniqueExperts(histories: readonly LoadHistory[]): Map<string, Drawn> {
  const experts = new Map<string, Drawn>();
  for (const expert of histories.flatMap(({ experts }) => experts)) {
    if (experts.has(expert.name)) continue;
    const member = [...experts.values()].filter(({ group }) => group === expert.group).length;
    experts.set(expert.name, { ...expert, index: experts.size, member });
  }
  return experts;
}

function fairLine({ experts, steps }: LoadHistory, suffix: string, showlegend: boolean): Trace {
  const fair = round(1 / experts.length);
  return {
    type: "scatter",
    mode: "lines",
    name: "fair share",
    legendgroup: "fair share",
    showlegend,
    xaxis: `x${suffix}`,
    yaxis: `y${suffix}`,
    x: [steps[0], steps[steps.length - 1]],
    y: [fair, fair],
    line: { color: "#888888", width: 2.2, dash: "6px,4px" },
    hovertemplate: "fair share: %{y:.1%}<extra></extra>",
  };
}

function shareLine(
  { steps, shares }: LoadHistory,
  expert: number,
  { name, group, index, member }: Drawn,
  suffix: string,
  showlegend: boolean,
): Trace {
  const style = expertStyle(group, member, index);
  const stride = Math.ceil(steps.length / POINTS);
  const kept = steps.map((_, place) => place)
    .filter((place) => place % stride === 0 || place === steps.length - 1);
  return {
    type: "scatter",
    mode: "lines+markers",
    name: `${name} (${group})`,
    legendgroup: name,
    showlegend,
    xaxis: `x${suffix}`,
    yaxis: `y${suffix}`,
    x: kept.map((place) => steps[place]),
    y: kept.map((place) => round(shares[expert][place])),
    line: { color: style.color, width: 1.8, dash: style.dash },
    marker: {
      symbol: MARKERS[index % MARKERS.length],
      size: 8,
      color: style.color,
      line: { color: INK, width: 0.6 },
      maxdisplayed: 5,
    },
    hovertemplate: `${name}, step %{x}: %{y:.1%}<extra></extra>`,
  };
}
