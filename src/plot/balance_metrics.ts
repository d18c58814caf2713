/**
 * How balanced the routing is, in the measures that the literature uses.
 *
 * With the load c of the experts that a token may use, its mean c̄ and the shares q = c / Σc:
 * MaxVio = (max c − c̄) / c̄ (arXiv 2408.15664, equation 4), CV = std(c) / c̄ (Shazeer and others,
 * 2017), entropy H = −Σ q ln q, dead fraction = share of experts with c = 0.
 *
 * @module
 */

import { range } from "./estimate.ts";
import type { Figure, Json, Trace } from "./figure.ts";
import { round } from "./numbers.ts";
import { cell, panelSuffix, panelTitle } from "./panels.ts";
import { axis, baseLayout, INK, MUTED, PALETTE, topMargin } from "./theme.ts";

/** Balance of one layer for the tokens of one modality, in one run. */
export interface BalanceRecord {
  /** Number of the layer. */
  readonly layer: number;
  /** Modality of the tokens: `"image"`, `"text"`, or `"all"`. */
  readonly modality: string;
  /** Number of experts that the tokens may use. */
  readonly experts: number;
  /** Largest load above the mean, relative to the mean: 0 is fair. */
  readonly maxVio: number;
  /** Coefficient of variation of the load: 0 is fair. */
  readonly cv: number;
  /** Entropy of the shares in nats: ln(experts) is fair; drawn as a share of that. */
  readonly entropy: number;
  /** Share of the experts that got no token, 0 to 1. */
  readonly dead: number;
  /** Whether each token uses every expert of its pool, so that nothing can be out of balance. */
  readonly trivial?: boolean;
  /** Seed of the run; records of several seeds are drawn as mean and range. */
  readonly seed?: number;
}

/** Options of {@linkcode balanceMetrics}. */
export interface BalanceMetricsOptions {
  /** Title; "Balance of the experts" by default. */
  readonly title?: string;
  /** Name of the layer axis; "MoE layer" by default. */
  readonly layerAxis?: string;
  /** Width in CSS pixels. */
  readonly width?: number;
  /** Height in CSS pixels. */
  readonly height?: number;
}

/** The panels: what they show, how it is called, and its value at perfect balance. */
const METRICS: readonly {
  readonly name: string;
  readonly title: string;
  readonly fair: number;
  readonly value: (record: BalanceRecord) => number;
  readonly least: number;
}[] = [
  { name: "MaxVio", title: "(max − mean) / mean", fair: 0, value: (r) => r.maxVio, least: 0.5 },
  { name: "CV", title: "std / mean", fair: 0, value: (r) => r.cv, least: 0.5 },
  {
    name: "entropy",
    title: "H / ln(experts)",
    fair: 1,
    // A pool of one expert has entropy 0 and is in perfect balance.
    value: (r) => r.experts > 1 ? r.entropy / Math.log(r.experts) : 1,
    least: 1,
  },
  { name: "dead experts", title: "share of the pool", fair: 0, value: (r) => r.dead, least: 0.5 },
];

const SYMBOLS = ["circle", "square", "diamond", "triangle-up"];

/**
 * Draws four small dot plots that share the layers as rows: MaxVio, coefficient of variation,
 * entropy of the load (as a share of its maximum) and fraction of dead experts, with the value of
 * perfect balance as a dashed line. With several seeds, dots are means and whiskers reach from the
 * lowest to the highest seed. Layers without a choice (every expert always used) have open marks.
 *
 * @param records One record a layer, modality and seed.
 * @param options Title and size.
 * @returns A figure.
 * @throws {RangeError} If there are no records.
 */
export function balanceMetrics(
  records: readonly BalanceRecord[],
  options: BalanceMetricsOptions = {},
): Figure {
  if (records.length === 0) throw new RangeError("balanceMetrics() needs records, got none.");
  const layers = [...new Set(records.map(({ layer }) => layer))].sort((a, b) => a - b);
  const modalities = [...new Set(records.map(({ modality }) => modality))];
  const seeds = new Set(records.map(({ seed }) => seed)).size;
  const heading = {
    title: options.title ?? "Balance of the experts",
    subtitle: `${
      seeds > 1 ? `mean of n = ${seeds} seeds; whiskers: lowest to highest seed` : "one run (n = 1)"
    }; dashed line: perfect balance${
      records.some(({ trivial }) => trivial)
        ? "; open marks: every expert is always used, balance is trivial"
        : ""
    }`,
    width: options.width ?? 880,
    headroom: 20,
  };
  const top = topMargin(heading);
  const pitch = Math.max(24, 20 * modalities.length);
  const height = options.height ?? Math.round(top + 64 + Math.max(120, pitch * layers.length));

  const data: Trace[] = [];
  const axes: Record<string, Json> = {};
  const annotations: Json[] = [];
  METRICS.forEach((metric, index) => {
    const suffix = panelSuffix(index);
    const xDomain = cell(index, METRICS.length, 0.04);
    data.push({
      type: "scatter",
      mode: "lines",
      name: "perfect balance",
      legendgroup: "perfect balance",
      showlegend: index === 0,
      xaxis: `x${suffix}`,
      yaxis: `y${suffix}`,
      x: [metric.fair, metric.fair],
      y: [-0.6, layers.length - 0.4],
      line: { color: INK, width: 1.5, dash: "dash" },
      hoverinfo: "skip",
    });
    modalities.forEach((modality, order) => {
      const offset = (order - (modalities.length - 1) / 2) * 0.3;
      data.push(dots(metric, records, layers, { modality, order, offset }, suffix, index === 0));
    });
    const values = records.map(metric.value);
    const most = Math.max(metric.least, ...values);
    // Entropies are close to 1 unless the routing has collapsed.
    const from = metric.fair === 1 ? Math.min(0.9, ...values) : 0;
    const pad = 0.07 * (most - from);
    axes[`xaxis${suffix}`] = axis({
      title: metric.title,
      domain: xDomain,
      anchor: `y${suffix}`,
      range: [round(from - pad), round(most + pad)],
      nticks: 4,
    });
    axes[`yaxis${suffix}`] = axis({
      title: index === 0 ? options.layerAxis ?? "MoE layer" : "",
      anchor: `x${suffix}`,
      tickvals: layers.map((_, place) => place),
      ticktext: layers.map(String),
      showticklabels: index === 0,
      range: [layers.length - 0.4, -0.6],
    });
    annotations.push(panelTitle(`<b>${metric.name}</b>`, xDomain[0], 1));
  });
  return { data, layout: baseLayout({ ...heading, height, ...axes, annotations }) };
}

function dots(
  metric: typeof METRICS[number],
  records: readonly BalanceRecord[],
  layers: readonly number[],
  { modality, order, offset }: { modality: string; order: number; offset: number },
  suffix: string,
  showlegend: boolean,
): Trace {
  const points = layers.flatMap((layer, place) => {
    const own = records.filter((r) => r.layer === layer && r.modality === modality);
    if (own.length === 0) return [];
    const trivial = own.every((record) => record.trivial);
    return [{ ...range(own.map(metric.value)), place: place + offset, trivial }];
  });
  const color = PALETTE[order % PALETTE.length];
  const symbol = SYMBOLS[order % SYMBOLS.length];
  return {
    type: "scatter",
    mode: "markers",
    name: `${modality} tokens`,
    legendgroup: modality,
    showlegend,
    xaxis: `x${suffix}`,
    yaxis: `y${suffix}`,
    x: points.map(({ mean }) => round(mean)),
    y: points.map(({ place }) => round(place)),
    error_x: {
      type: "data",
      symmetric: false,
      array: points.map(({ mean, high }) => round(high - mean)),
      arrayminus: points.map(({ mean, low }) => round(mean - low)),
      color: MUTED,
      thickness: 1.4,
      width: 4,
    },
    marker: {
      symbol: points.map(({ trivial }) => (trivial ? `${symbol}-open` : symbol)),
      size: 9,
      color,
      line: { color: points.some(({ trivial }) => trivial) ? color : INK, width: 1 },
    },
    hovertemplate: `${modality}: %{x}<extra>${metric.name}</extra>`,
  };
}
