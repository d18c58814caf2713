/**
 * Training curves of several variants, each trained with several seeds.
 *
 * @module
 */

import { range } from "./estimate.ts";
import type { Figure, Json, Trace } from "./figure.ts";
import type { LossCurveOptions, LossRecord } from "./loss_curve.ts";
import { defaultWindow, smoothed, splitStages, stageMarks } from "./loss_stages.ts";
import { significant } from "./numbers.ts";
import { panelTitle } from "./panels.ts";
import { axis, baseLayout, seriesStyle } from "./theme.ts";

/** The runs of one variant. */
export interface LossVariant {
  /** Name in the legend. */
  readonly name: string;
  /** Records of every seed's run; only steps that all seeds have are drawn. */
  readonly runs: readonly (readonly LossRecord[])[];
}

/** Options of {@linkcode lossCurves}. */
export interface LossCurvesOptions extends LossCurveOptions {
  /** What the band around a mean is; lowest and highest seed by default. */
  readonly band?: {
    /** Its name: "95 % t interval over seeds". */
    readonly name: string;
    /** Its ends for the values of all seeds at one step. */
    readonly of: (values: readonly number[]) => readonly [low: number, high: number];
  };
  /** Part of the run that is shown enlarged below, from 0 (none) to 1; its last quarter by default. */
  readonly zoom?: number;
}

/** Points a line: enough for a notebook's width, few enough to store dozens of runs. */
const POINTS = 240;

/**
 * Draws the mean smoothed loss of each variant as a line (told apart by colour, dash and marker)
 * with a band over its seeds; stages are separated by dashed lines. Below, the end of training is
 * drawn again with an axis of its own, because that is where variants differ.
 *
 * @param variants The variants; their losses are in nats a token.
 * @param options Title, smoothing, band, scale and size.
 * @returns A figure.
 * @throws {RangeError} If there are no variants, a variant has no records, or its runs share no
 * steps.
 */
export function lossCurves(
  variants: readonly LossVariant[],
  options: LossCurvesOptions = {},
): Figure {
  if (variants.length === 0) {
    throw new RangeError("lossCurves() needs at least one variant, got 0.");
  }
  const { title = "Training loss", scale = "linear", zoom = 0.25 } = options;
  const curves = variants.map((variant) => averaged(variant, options));
  const last = Math.max(...curves.map((curve) => curve.points.at(-1)!.step));
  const data: Trace[] = curves.flatMap((curve, index) => traces(curve, index, "", 0));
  if (zoom > 0) {
    const from = last * (1 - zoom);
    data.push(...curves.flatMap((curve, index) => traces(curve, index, "2", from)));
  }
  const stages = splitStages(variants[0].runs[0]);
  const marks = stageMarks(stages);
  const counts = [...new Set(variants.map(({ runs }) => runs.length))].sort((a, b) => a - b);
  const name = scale === "log" ? "loss (nats, log scale)" : "loss (nats)";
  const height = options.height ?? (zoom > 0 ? 640 : 400);
  return {
    data,
    layout: baseLayout({
      title,
      subtitle:
        `line: mean of n = ${counts.join(" or ")} seed${
          counts.at(-1) === 1 ? "" : "s"
        }, moving average` +
        (counts.at(-1)! > 1 ? `; band: ${options.band?.name ?? "lowest to highest seed"}` : ""),
      headroom: 8,
      width: options.width ?? 800,
      height,
      xaxis: axis({ title: "step", anchor: "y" }),
      yaxis: axis({ title: name, type: scale, domain: zoom > 0 ? [0.52, 1] : [0, 1] }),
      ...(zoom > 0
        ? {
          xaxis2: axis({ title: "step", anchor: "y2" }),
          yaxis2: axis({ title: name, type: scale, domain: [0, 0.36], anchor: "x2" }),
        }
        : {}),
      ...marks,
      shapes: marks.shapes.map((shape) => ({ ...shape as object, yref: "y domain" }) as Json),
      annotations: [
        ...marks.annotations,
        ...(zoom > 0
          ? [panelTitle(`last ${Math.round(100 * zoom)} % of the steps, enlarged`, 0, 0.365)]
          : []),
      ],
    }),
  };
}

interface CurvePoint {
  readonly step: number;
  readonly mean: number;
  readonly low: number;
  readonly high: number;
}

interface Curve {
  readonly name: string;
  readonly seeds: number;
  readonly points: readonly CurvePoint[];
  /** The points of every stage by themselves: the loss jumps between stages. */
  readonly stages: readonly (readonly CurvePoint[])[];
}

function averaged({ name, runs }: LossVariant, options: LossCurvesOptions): Curve {
  if (runs.length === 0 || runs.some((run) => run.length === 0)) {
    throw new RangeError(
      `lossCurves() needs runs with records, got ${
        runs.length === 0 ? "no runs" : "a run without records"
      } for "${name}".`,
    );
  }
  const losses = runs.map((run) => {
    const window = options.window ?? defaultWindow(run);
    const records = splitStages(run).flatMap((stage) => smoothed(stage, window));
    return new Map(records.map(({ step, loss }) => [step, loss]));
  });
  const shared = runs[0].filter(({ step }) => losses.every((run) => run.has(step)));
  if (shared.length === 0) {
    throw new RangeError(
      `The ${runs.length} runs of "${name}" have no step in common; give runs of one length.`,
    );
  }
  const stages = splitStages(shared).map(({ records }) =>
    every(records, Math.ceil(POINTS * records.length / shared.length)).map(({ step }) => {
      const values = losses.map((run) => run.get(step)!).filter(Number.isFinite);
      const { mean, low, high } = range(values);
      const band = options.band?.of(values) ?? [low, high];
      return { step, mean, low: band[0], high: band[1] };
    })
  );
  return { name, seeds: runs.length, points: stages.flat(), stages };
}

/** At most `count` records, evenly spread, the first and the last among them. */
function every<T>(records: readonly T[], count: number): T[] {
  if (records.length <= count) return [...records];
  const places = Array.from(
    { length: Math.max(2, count) },
    (_, index, last = Math.max(2, count) - 1) => Math.round((index * (records.length - 1)) / last),
  );
  return [...new Set(places)].map((place) => records[place]);
}

/** Band and line of one variant in one panel, from a step onwards. */
function traces(curve: Curve, index: number, panel: string, from: number): Trace[] {
  const style = seriesStyle(index);
  const stages = curve.stages.map((stage) => stage.filter(({ step }) => step >= from))
    .filter((stage) => stage.length > 0);
  const axes = panel ? { xaxis: `x${panel}`, yaxis: `y${panel}` } : {};
  const shared = { type: "scatter" as const, legendgroup: curve.name, ...axes };
  const line: Trace = {
    ...shared,
    mode: "lines+markers",
    name: `${curve.name}<br>ends at ${curve.points.at(-1)!.mean.toPrecision(3)}`,
    showlegend: panel === "",
    x: gapped(stages.map((stage) => stage.map(({ step }) => step))),
    y: gapped(stages.map((stage) => stage.map(({ mean }) => significant(mean)))),
    line: { color: style.color, dash: style.dash, width: 2 },
    marker: { symbol: style.marker, size: 8, color: style.color, maxdisplayed: 8 },
  };
  if (curve.seeds < 2) return [line];
  const band: Trace = {
    ...shared,
    mode: "lines",
    name: `${curve.name}, band`,
    showlegend: false,
    hoverinfo: "skip",
    x: gapped(stages.map((s) => [...s, ...s.toReversed()].map(({ step }) => step))),
    y: gapped(stages.map((s) => [
      ...s.map(({ high }) => significant(high)),
      ...s.toReversed().map(({ low }) => significant(low)),
    ])),
    fill: "toself",
    fillcolor: `${style.color}2e`,
    // The edge repeats the line's dash, so that bands can be told apart in grey, too.
    line: { color: `${style.color}80`, dash: style.dash, width: 0.8 },
  };
  return [band, line];
}

/** Lists joined by `null`, where plotly interrupts lines and starts new polygons. */
function gapped(parts: readonly (readonly (number | null)[])[]): (number | null)[] {
  return parts.flatMap((part, index) => (index === 0 ? part : [null, ...part]));
}
