/**
 * Training curves, the parts that all of them share: stages, smoothing, thinning.
 *
 * @module
 */

import type { Json } from "./figure.ts";
import type { LossRecord } from "./loss_curve.ts";
import { INK } from "./theme.ts";

/** More points than this are thinned: no screen shows them and notebooks have to store them. */
const MAX_POINTS = 1200;

/** A part of a run: consecutive records with the same name of stage. */
export interface Stage {
  /** Its name, if the records have one. */
  readonly name: string | undefined;
  /** First step. */
  readonly start: number;
  /** Last step. */
  readonly end: number;
  /** Its records. */
  readonly records: readonly LossRecord[];
}

/** Cuts a run into its stages. */
export function splitStages(records: readonly LossRecord[]): Stage[] {
  const stages: { name: string | undefined; records: LossRecord[] }[] = [];
  for (const record of records) {
    const current = stages[stages.length - 1];
    if (current && current.name === record.stage) current.records.push(record);
    else stages.push({ name: record.stage, records: [record] });
  }
  return stages.map((stage) => ({
    ...stage,
    start: stage.records[0].step,
    end: stage.records[stage.records.length - 1].step,
  }));
}

/**
 * Centred moving average inside one stage (cut off at the stage's ends), so that the curve does
 * not lag behind a falling loss. Losses that are not finite are left out.
 */
export function smoothed({ records }: Stage, window: number): LossRecord[] {
  const half = Math.floor(window / 2);
  // sums[i] and counts[i] are over the first i finite losses of the stage.
  const sums = [0];
  const counts = [0];
  records.forEach(({ loss }, index) => {
    const valid = Number.isFinite(loss);
    sums.push(sums[index] + (valid ? loss : 0));
    counts.push(counts[index] + (valid ? 1 : 0));
  });
  return records.map((record, index) => {
    const from = Math.max(0, index - half);
    const to = Math.min(records.length, index + half + 1);
    return { ...record, loss: (sums[to] - sums[from]) / (counts[to] - counts[from]) };
  });
}

/** A twenty-fifth of the run: smooth enough to compare runs, short enough to show plateaus. */
export function defaultWindow(records: readonly LossRecord[]): number {
  return Math.max(5, Math.round(records.length / 25));
}

/**
 * Thins a curve to about {@linkcode MAX_POINTS} points. Each bucket keeps its lowest and highest
 * value, so spikes stay visible.
 */
export function thin(
  records: readonly LossRecord[],
  value: (record: LossRecord) => number = (record) => record.loss,
): LossRecord[] {
  const points = records.map((record) => ({ ...record, loss: value(record) }));
  const size = Math.ceil((2 * points.length) / MAX_POINTS);
  if (size <= 2) return points;
  const kept: LossRecord[] = [];
  for (let start = 0; start < points.length; start += size) {
    const bucket = points.slice(start, start + size);
    const low = bucket.reduce((a, b) => (b.loss < a.loss ? b : a));
    const high = bucket.reduce((a, b) => (b.loss > a.loss ? b : a));
    kept.push(...(low.step <= high.step ? [low, high] : [high, low]));
  }
  return kept;
}

/**
 * Dashed lines between stages, and their names above the plot.
 *
 * @param stages The stages, in order.
 * @param axis The horizontal axis: `"x"`, `"x2"`, …
 */
export function stageMarks(
  stages: readonly Stage[],
  axis = "x",
): { shapes: Json[]; annotations: Json[] } {
  return {
    shapes: stages.slice(1).map(({ start }) => stageLine(start, axis)),
    annotations: stages.flatMap((stage) => stageLabel(stage, axis)),
  };
}

function stageLine(step: number, axis: string): Json {
  return {
    type: "line",
    xref: axis,
    yref: "paper",
    x0: step,
    x1: step,
    y0: 0,
    y1: 1,
    line: { color: INK, width: 1, dash: "dash" },
  };
}

/** The name of the stage above its part of the plot. */
function stageLabel(stage: Stage, axis: string): Json[] {
  if (!stage.name) return [];
  return [{
    text: stage.name,
    x: (stage.start + stage.end) / 2,
    xref: axis,
    y: 1,
    yref: "paper",
    yanchor: "bottom",
    showarrow: false,
    font: { size: 11 },
  }];
}
