/**
 * What a variant costs: parameters, activated parameters, time.
 *
 * @module
 */

import type { Figure, Json, Trace } from "./figure.ts";
import { round, short } from "./numbers.ts";
import { panelSuffix, panelTitle, stack } from "./panels.ts";
import { axis, barMarker, baseLayout, seriesStyle, topMargin } from "./theme.ts";

/** Parameters of one part of a model. */
export interface PartParameters {
  /** Name of the part: "vision encoder", "experts", … */
  readonly part: string;
  /** All its parameters. */
  readonly total: number;
  /** Those that one token uses. */
  readonly active: number;
}

/** One variant and what it costs. */
export interface VariantCost {
  /** Name of the variant. */
  readonly name: string;
  /** Its parts; they are stacked in this order. */
  readonly parts: readonly PartParameters[];
  /** Time of a training step in milliseconds. */
  readonly msPerStep?: number;
  /** Tokens trained a second. */
  readonly tokensPerSecond?: number;
}

/** Variants of one size, which share an axis. */
export interface CostPanel {
  /** Title: "here, tiny", "paper, Phi-3-mini". */
  readonly title: string;
  /** The variants. */
  readonly variants: readonly VariantCost[];
}

/** Options of {@linkcode parameterBars}. */
export interface ParameterBarsOptions {
  /** Title; "Total and activated parameters" by default. */
  readonly title?: string;
  /** Device that the times were measured on; stated with them. */
  readonly device?: string;
  /** Width in CSS pixels. */
  readonly width?: number;
  /** Height in CSS pixels. */
  readonly height?: number;
}

/** Height of a variant's two bars with the space around them, in CSS pixels. */
const ROW = 46;
const BAR = 0.36;

/**
 * Draws two stacked bars a variant: all parameters and the activated ones, by component, with their
 * sums at the end. Each panel has an axis of its own, because models of different size share none.
 * Where times are given, they stand beside the names.
 *
 * @param panels Variants by size.
 * @param options Title, device and size.
 * @returns A figure.
 * @throws {RangeError} If a panel has no variants, or a part has more activated parameters than
 * parameters.
 */
export function parameterBars(
  panels: CostPanel | readonly CostPanel[],
  options: ParameterBarsOptions = {},
): Figure {
  const list = "variants" in panels ? [panels] : panels;
  check(list);
  const timed = list.some(({ variants }) =>
    variants.some(({ msPerStep, tokensPerSecond }) => msPerStep ?? tokensPerSecond)
  );
  const heading = {
    title: options.title ?? "Total and activated parameters",
    subtitle: `upper bar: all parameters; lower bar: those that one token uses${
      timed ? `; times: training${options.device ? ` on ${options.device}` : ""}` : ""
    }`,
    width: options.width ?? 860,
    headroom: 20,
  };
  const top = topMargin(heading);
  const inner = list.reduce((sum, { variants }) => sum + ROW * variants.length, 0);
  const height = options.height ?? Math.round(top + 64 + inner + 84 * (list.length - 1));
  const domains = stack(
    list.map(({ variants }) => variants.length),
    84 / (height - top - 64),
  );
  const parts = [
    ...new Set(list.flatMap(({ variants }) => variants.flatMap((v) => v.parts.map((p) => p.part)))),
  ];

  const data: Trace[] = [];
  const axes: Record<string, Json> = {};
  const annotations: Json[] = [];
  const drawn = new Set<string>();
  list.forEach((panel, index) => {
    const suffix = panelSuffix(index);
    parts.forEach((part, order) => {
      const bar = partBars(panel, part, order, suffix, !drawn.has(part));
      if (!bar) return;
      drawn.add(part);
      data.push(bar);
    });
    const largest = Math.max(...panel.variants.map((variant) => sumOf(variant, "total")));
    const [divisor, unit] = largest >= 1e9
      ? [1e9, "billions"]
      : largest >= 1e6
      ? [1e6, "millions"]
      : [1e3, "thousands"];
    const scale = niceStep(largest * 1.12 / divisor) * divisor;
    const ticks = Array.from(
      { length: Math.floor(largest * 1.12 / scale) + 1 },
      (_, tick) => tick * scale,
    );
    axes[`xaxis${suffix}`] = axis({
      title: `parameters (${unit})`,
      anchor: `y${suffix}`,
      range: [0, largest * 1.2],
      tickvals: ticks.map((tick) => round(tick, 0)),
      ticktext: ticks.map((tick) => String(round(tick / divisor, 6))),
    });
    axes[`yaxis${suffix}`] = axis({
      title: "variant",
      anchor: `x${suffix}`,
      domain: domains[index],
      tickvals: panel.variants.map((_, place) => place),
      ticktext: panel.variants.map(rowLabel),
      range: [panel.variants.length - 0.5, -0.5],
      showgrid: false,
    });
    panel.variants.forEach((variant, place) => {
      for (const [kind, offset] of [["total", -BAR / 2], ["active", BAR / 2]] as const) {
        const sum = sumOf(variant, kind);
        annotations.push({
          text: `${kind === "total" ? "total" : "activated"} <b>${short(sum)}</b>`,
          x: sum,
          xref: `x${suffix}`,
          xanchor: "left",
          xshift: 5,
          y: round(place + offset),
          yref: `y${suffix}`,
          yanchor: "middle",
          showarrow: false,
          font: { size: 10 },
        });
      }
    });
    annotations.push(panelTitle(`<b>${panel.title}</b>`, 0, domains[index][1]));
  });
  return {
    data,
    layout: baseLayout({
      ...heading,
      height,
      ...axes,
      annotations,
      barmode: "stack",
      legend: { x: 1.02, xanchor: "left", y: 1, yanchor: "top", traceorder: "normal" },
    }),
  };
}

function check(panels: readonly CostPanel[]): void {
  if (panels.length === 0 || panels.some(({ variants }) => variants.length === 0)) {
    throw new RangeError("parameterBars() needs panels with at least one variant each.");
  }
  for (const { name, parts } of panels.flatMap(({ variants }) => variants)) {
    for (const { part, total, active } of parts) {
      if (!(active >= 0 && active <= total)) {
        throw new RangeError(
          `${name}, ${part}: ${active} activated parameters of ${total}; a token cannot use more ` +
            "than there are.",
        );
      }
    }
  }
}

function sumOf({ parts }: VariantCost, kind: "total" | "active"): number {
  return parts.reduce((sum, part) => sum + part[kind], 0);
}

/** The largest of 1, 2 and 5 times a power of ten that gives at least four ticks. */
function niceStep(largest: number): number {
  const power = 10 ** Math.floor(Math.log10(largest / 4));
  return [5, 2, 1].map((factor) => factor * power).find((step) => step <= largest / 4) ?? power;
}

function rowLabel({ name, msPerStep, tokensPerSecond }: VariantCost): string {
  const times = [
    ...(msPerStep === undefined ? [] : [`${Number(msPerStep.toPrecision(3))} ms a step`]),
    ...(tokensPerSecond === undefined ? [] : [`${short(tokensPerSecond)} tokens/s`]),
  ];
  return times.length > 0
    ? `${name}<br><span style="font-size:10px">${times.join(", ")}</span>`
    : name;
}

function partBars(
  { variants }: CostPanel,
  part: string,
  order: number,
  suffix: string,
  showlegend: boolean,
): Trace | undefined {
  const bars = variants.flatMap((variant, place) => {
    const found = variant.parts.find((entry) => entry.part === part);
    return found
      ? [{ x: found.total, y: place - BAR / 2, name: `${variant.name}, total` }, {
        x: found.active,
        y: place + BAR / 2,
        name: `${variant.name}, activated`,
      }]
      : [];
  });
  if (bars.length === 0) return undefined;
  return {
    type: "bar",
    orientation: "h",
    name: part,
    legendgroup: part,
    showlegend,
    xaxis: `x${suffix}`,
    yaxis: `y${suffix}`,
    x: bars.map(({ x }) => x),
    y: bars.map(({ y }) => round(y)),
    width: BAR * 0.92,
    marker: barMarker(seriesStyle(order)),
    customdata: bars.map(({ name }) => name),
    hovertemplate: `%{customdata}: ${part} %{x:,}<extra></extra>`,
  };
}
