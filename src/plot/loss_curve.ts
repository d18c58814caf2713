/**
 * Training curves: loss, and the learning rate under it.
 *
 * @module
 */

import type { Figure, Json, Trace } from "./figure.ts";
import { significant } from "./numbers.ts";
import { defaultWindow, smoothed, splitStages, stageMarks, thin } from "./loss_stages.ts";
import { axis, baseLayout, MUTED, PALETTE, seriesStyle } from "./theme.ts";

/** What a training loop reports after a step. */
export interface LossRecord {
  /** Optimizer step, counted over the whole run. */
  readonly step: number;
  /** Training loss of the step. */
  readonly loss: number;
  /** Learning rate used in the step. */
  readonly learningRate?: number;
  /** Name of the training stage. */
  readonly stage?: string;
}

/** Options of {@linkcode lossCurve}. */
export interface LossCurveOptions {
  /** Title; "Training loss" by default. */
  readonly title?: string;
  /** Width of the moving average in records; a twenty-fifth of the run by default. */
  readonly window?: number;
  /** Scale of the loss axis; linear by default. */
  readonly scale?: "linear" | "log";
  /** Width in CSS pixels. */
  readonly width?: number;
  /** Height in CSS pixels. */
  readonly height?: number;
}

/**
 * Draws the loss of one run: raw values thin, a moving average on top, stages separated by dashed
 * lines, the learning rate in a panel below when the records have it.
 *
 * @param records Records in the order they were made.
 * @param options Title, smoothing, scale and size.
 * @returns A figure.
 * @throws {RangeError} If there are no records.
 */
export function lossCurve(records: readonly LossRecord[], options: LossCurveOptions = {}): Figure {
  if (records.length === 0) throw new RangeError("lossCurve() needs at least one record, got 0.");
  const { title = "Training loss", scale = "linear" } = options;
  const window = options.window ?? defaultWindow(records);
  const stages = splitStages(records);
  const raw = thin(records);
  const smooth = thin(stages.flatMap((stage) => smoothed(stage, window)));
  const showRate = records.some((record) => record.learningRate !== undefined);

  const data: Trace[] = [
    line("loss of the step", raw, { color: "#9ecae1", width: 1 }),
    line("moving average", smooth, { color: PALETTE[0], width: 2.5 }),
  ];
  if (showRate) data.push(rateTrace(thin(records, (record) => record.learningRate ?? NaN)));

  const last = smooth[smooth.length - 1];
  const lossDomain = showRate ? [0.3, 1] : [0, 1];
  return {
    data,
    layout: baseLayout({
      title,
      subtitle: `${records.length} steps; moving average ends at ${last.loss.toPrecision(3)}`,
      width: options.width,
      height: options.height ?? (showRate ? 460 : 400),
      xaxis: axis({ title: "step", anchor: showRate ? "y2" : "y" }),
      yaxis: axis({
        title: scale === "log" ? "loss (log scale)" : "loss",
        type: scale,
        domain: lossDomain,
      }),
      ...(showRate
        ? {
          yaxis2: axis({
            title: "learning rate",
            domain: [0, 0.2],
            rangemode: "tozero",
            nticks: 3,
            exponentformat: "power",
          }),
        }
        : {}),
      ...stageMarks(stages),
      legend: { x: 0.99, xanchor: "right", y: 0.99, yanchor: "top", bgcolor: "#ffffffcc" },
    }),
  };
}

/** One run of {@linkcode compareLoss}. */
export interface LossSeries {
  /** Name in the legend. */
  readonly name: string;
  /** Records of the run. */
  readonly records: readonly LossRecord[];
}

/**
 * Draws the smoothed losses of several runs in one figure, told apart by colour, dash and marker.
 *
 * @param runs The runs.
 * @param options Title, smoothing, scale and size.
 * @returns A figure.
 * @throws {RangeError} If there are no runs, or one has no records.
 */
export function compareLoss(runs: readonly LossSeries[], options: LossCurveOptions = {}): Figure {
  const empty = runs.find((run) => run.records.length === 0);
  if (runs.length === 0 || empty) {
    throw new RangeError(
      `compareLoss() needs runs with records, got ${
        empty ? `none for "${empty.name}"` : "0 runs"
      }.`,
    );
  }
  const { title = "Training loss", scale = "linear" } = options;
  const data = runs.map(({ name, records }, index): Trace => {
    const style = seriesStyle(index);
    const window = options.window ?? defaultWindow(records);
    const points = thin(splitStages(records).flatMap((stage) => smoothed(stage, window)));
    return {
      ...line(name, points, { color: style.color, dash: style.dash, width: 2 }),
      mode: "lines+markers",
      marker: {
        symbol: style.marker,
        size: 8,
        color: style.color,
        // About eight markers a line: enough to tell lines apart, few enough to see them.
        maxdisplayed: 8,
      },
    };
  });
  return {
    data,
    layout: baseLayout({
      title,
      subtitle: "moving averages",
      width: options.width,
      height: options.height,
      xaxis: axis({ title: "step" }),
      yaxis: axis({ title: scale === "log" ? "loss (log scale)" : "loss", type: scale }),
    }),
  };
}

function line(name: string, points: readonly LossRecord[], style: Json): Trace {
  return {
    type: "scatter",
    mode: "lines",
    name,
    x: points.map((point) => point.step),
    y: points.map((point) => significant(point.loss)),
    line: style,
  };
}

function rateTrace(points: readonly LossRecord[]): Trace {
  return {
    ...line("learning rate", points, { color: MUTED, width: 1.5 }),
    yaxis: "y2",
    showlegend: false,
  };
}
