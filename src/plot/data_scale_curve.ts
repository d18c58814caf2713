/**
 * Scores over the amount of training data (the paper's figure 3).
 *
 * @module
 */

import { type Estimate, estimateCaption, type IntervalOptions, whiskers } from "./estimate.ts";
import type { Figure, Json, Trace } from "./figure.ts";
import { significant } from "./numbers.ts";
import { cell, panelSuffix, panelTitle, stack } from "./panels.ts";
import { axis, baseLayout, INK, MUTED, seriesStyle, topMargin } from "./theme.ts";

/** One variant at several data scales. */
export interface DataScaleSeries {
  /** Variant, in the legend. */
  readonly name: string;
  /** Its scores, in the unit of the panel, at each scale, in the unit of the panel. */
  readonly points: readonly (Estimate & { readonly scale: number })[];
}

/** One score over the data scale. */
export interface DataScalePanel {
  /** Title of the panel: "here, macro", "paper, average of 7". */
  readonly title: string;
  /** Name of the horizontal axis with its unit; "training pictures" by default. */
  readonly scaleName?: string;
  /** Name of the vertical axis with its unit; "accuracy (%)" by default. */
  readonly scoreName?: string;
  /** The variants. */
  readonly series: readonly DataScaleSeries[];
  /** Score of the best answer without the picture, in the unit of the panel. */
  readonly floor?: number;
  /** Score of a random answer, in the unit of the panel. */
  readonly chance?: number;
}

/** Options of {@linkcode dataScaleCurve}. */
export interface DataScaleCurveOptions extends IntervalOptions {
  /** Title; "Score over the amount of training data" by default. */
  readonly title?: string;
  /** Scale of the horizontal axes; linear by default. */
  readonly scale?: "linear" | "log";
  /** Panels in a row; 2 by default. */
  readonly columns?: number;
  /** Width in CSS pixels. */
  readonly width?: number;
  /** Height in CSS pixels. */
  readonly height?: number;
}

/**
 * Draws scores over the data scale, one panel a score: a line a variant with its band, the same
 * style in every panel. Give the paper's curve as a further panel; its points have no band.
 *
 * @param panels One panel or several.
 * @param options Title, scale and size.
 * @returns A figure.
 * @throws {RangeError} If there are no panels, or a panel has no points.
 */
export function dataScaleCurve(
  panels: DataScalePanel | readonly DataScalePanel[],
  options: DataScaleCurveOptions = {},
): Figure {
  const list = "series" in panels ? [panels] : panels;
  const empty = list.find(({ series }) => series.every(({ points }) => points.length === 0));
  if (list.length === 0 || empty) {
    throw new RangeError(
      `dataScaleCurve() needs panels with points, got ${
        empty ? `none in "${empty.title}"` : "0 panels"
      }.`,
    );
  }
  const names = [...new Set(list.flatMap(({ series }) => series.map(({ name }) => name)))];
  const columns = Math.min(options.columns ?? 2, list.length);
  const rows = Math.ceil(list.length / columns);
  const points = list.flatMap(({ series }) => series.flatMap(({ points }) => points));
  const measured = points.filter(({ seeds, n, low }) => seeds ?? n ?? low);
  const heading = {
    title: options.title ?? "Score over the amount of training data",
    subtitle: `${estimateCaption(measured, options.interval, "bands")}${
      measured.length < points.length ? "; curves without a band were given without interval" : ""
    }`,
    width: options.width ?? Math.max(720, 190 + 300 * columns),
    headroom: 20,
  };
  const top = topMargin(heading);
  const height = options.height ?? Math.round(top + 60 + rows * 270 + (rows - 1) * 84);
  const xDomains = list.map((_, index) => cell(index % columns, columns, 0.13));
  const heights = stack(Array(rows).fill(1), 84 / (height - top - 60));

  const data: Trace[] = [];
  const axes: Record<string, Json> = {};
  const annotations: Json[] = [];
  const drawn = new Set<string>();
  list.forEach((panel, index) => {
    const suffix = panelSuffix(index);
    const yDomain = heights[Math.floor(index / columns)];
    for (const trace of panelTraces(panel, suffix, names)) {
      // The legend shows every line once, from the first panel that has it.
      const group = trace.legendgroup as string;
      const first = trace.showlegend !== false && !drawn.has(group);
      if (first) drawn.add(group);
      data.push({ ...trace, showlegend: first });
    }
    const scales = [
      ...new Set(panel.series.flatMap(({ points }) => points.map(({ scale }) => scale))),
    ].sort((a, b) => a - b);
    axes[`xaxis${suffix}`] = axis({
      title: panel.scaleName ?? "training pictures",
      type: options.scale ?? "linear",
      domain: xDomains[index],
      anchor: `y${suffix}`,
      ...(scales.length <= 5
        ? { tickvals: scales, ticktext: scales.map((scale) => scale.toLocaleString("en-US")) }
        : {}),
    });
    axes[`yaxis${suffix}`] = axis({
      title: panel.scoreName ?? "accuracy (%)",
      domain: yDomain,
      anchor: `x${suffix}`,
    });
    annotations.push(panelTitle(`<b>${panel.title}</b>`, xDomains[index][0], yDomain[1]));
  });
  return {
    data,
    layout: baseLayout({ ...heading, height, ...axes, annotations }),
  };
}

function panelTraces(panel: DataScalePanel, suffix: string, names: readonly string[]): Trace[] {
  const axes = { xaxis: `x${suffix}`, yaxis: `y${suffix}` };
  const scales = panel.series.flatMap(({ points }) => points.map(({ scale }) => scale));
  const ends = [Math.min(...scales), Math.max(...scales)];
  const traces: Trace[] = [];
  const levels = [["blind floor", panel.floor, INK, "dash"], [
    "chance",
    panel.chance,
    MUTED,
    "dot",
  ]] as const;
  for (const [name, level, color, dash] of levels) {
    if (level === undefined) continue;
    traces.push({
      type: "scatter",
      mode: "lines",
      name,
      legendgroup: name,
      ...axes,
      x: ends,
      y: ends.map(() => significant(level)),
      line: { color, width: 1.6, dash },
    });
  }
  for (const { name, points } of panel.series) {
    if (points.length === 0) continue;
    const style = seriesStyle(names.indexOf(name));
    const sorted = points.toSorted((a, b) => a.scale - b.scale);
    const banded = sorted.filter(({ low, high }) => low !== undefined && high !== undefined);
    const line: Trace = {
      type: "scatter",
      mode: "lines+markers",
      name,
      legendgroup: name,
      ...axes,
      x: sorted.map(({ scale }) => scale),
      y: sorted.map(({ mean }) => significant(mean)),
      line: { color: style.color, dash: style.dash, width: 2 },
      marker: { symbol: style.marker, size: 9, color: style.color },
      // A single point has no band.
      ...(banded.length === 1 ? { error_y: whiskers(sorted, style.color) } : {}),
    };
    if (banded.length > 1) {
      traces.push({
        type: "scatter",
        mode: "lines",
        name: `${name}, band`,
        legendgroup: name,
        showlegend: false,
        hoverinfo: "skip",
        ...axes,
        x: [...banded, ...banded.toReversed()].map(({ scale }) => scale),
        y: [
          ...banded.map(({ high }) => significant(high!)),
          ...banded.toReversed().map(({ low }) => significant(low!)),
        ],
        fill: "toself",
        fillcolor: `${style.color}22`,
        line: { color: `${style.color}80`, dash: style.dash, width: 0.8 },
      });
    }
    traces.push(line);
  }
  return traces;
}
