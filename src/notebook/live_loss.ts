/**
 * The loss while training: a line drawn by hand, because plotly would take longer than a step.
 *
 * @module
 */

import { describeFigure, lossCurve, type LossCurveOptions, type LossRecord } from "../plot/mod.ts";
import { toDisplay } from "./bundle.ts";
import { type Display, LiveOutput } from "./display.ts";
import { currentKernel } from "./jupyter.ts";

/** Points of the hand-drawn line: more do not show in its width. */
const MAX_POINTS = 350;
const WIDTH = 720;
const HEIGHT = 220;
const MARGIN = { left: 56, right: 16, top: 14, bottom: 26 };

/**
 * A loss curve that grows in a notebook while training and becomes an interactive figure at the
 * end. In a terminal it says nothing until the end.
 *
 * @example Two steps
 * ```ts
 * import { LiveLoss } from "@moiie/lab/notebook";
 *
 * const live = new LiveLoss({ title: "Stage 1" });
 * live.add({ step: 0, loss: 4.2 });
 * live.add({ step: 1, loss: 3.9 });
 * await live.done();
 * ```
 */
export class LiveLoss {
  readonly #options: LossCurveOptions;
  readonly #live = new LiveOutput();
  readonly #records: LossRecord[] = [];

  /**
   * Starts empty; nothing is shown before the first record.
   *
   * @param options Title and look of the final figure.
   */
  constructor(options: LossCurveOptions = {}) {
    this.#options = options;
  }

  /**
   * Adds a record; the line is redrawn at most ten times a second.
   *
   * @param record Step and loss.
   */
  add(record: LossRecord): void {
    this.#records.push(record);
    if (currentKernel()) this.#live.update(() => lossSketch(this.#records));
  }

  /** Replaces the line by the figure, or prints a summary in a terminal. */
  async done(): Promise<void> {
    if (this.#records.length === 0) return;
    const figure = lossCurve(this.#records, this.#options);
    if (currentKernel()) await this.#live.finish(await toDisplay(figure));
    else console.log(describeFigure(figure));
  }
}

/**
 * Draws a loss line as SVG in well under a millisecond.
 *
 * @param records The records so far, at least one.
 * @returns An output of about ten kilobytes at most.
 */
export function lossSketch(records: readonly LossRecord[]): Display {
  const last = records[records.length - 1];
  const points = bucketMeans(records);
  const losses = points.map((point) => point.loss);
  const low = Math.min(...losses);
  const high = Math.max(...losses);
  const x = scale(records[0].step, last.step, MARGIN.left, WIDTH - MARGIN.right);
  const y = scale(low, high, HEIGHT - MARGIN.bottom, MARGIN.top);
  const line = points.map(({ step, loss }) => `${x(step).toFixed(1)},${y(loss).toFixed(1)}`);
  const label = (px: number, py: number, anchor: string, text: string): string =>
    `<text x="${px}" y="${py}" text-anchor="${anchor}">${text}</text>`;
  const title = `loss ${last.loss.toPrecision(4)} at step ${last.step}`;
  const axisY = HEIGHT - MARGIN.bottom;
  const svg =
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${HEIGHT}" role="img" ` +
    `aria-label="${title}" font-family="sans-serif" font-size="11" fill="#222">` +
    `<rect width="100%" height="100%" fill="#fff"/>` +
    `<path d="M${MARGIN.left},${MARGIN.top}V${axisY}H${WIDTH - MARGIN.right}" fill="none" ` +
    `stroke="#222"/>` +
    `<polyline fill="none" stroke="#0072B2" stroke-width="1.5" points="${line.join(" ")}"/>` +
    (points.length > 0
      ? label(MARGIN.left - 6, MARGIN.top + 8, "end", high.toPrecision(3)) +
        label(MARGIN.left - 6, axisY, "end", low.toPrecision(3))
      : "") +
    label(MARGIN.left, HEIGHT - 8, "start", `step ${records[0].step}`) +
    label(WIDTH - MARGIN.right, HEIGHT - 8, "end", title) +
    `</svg>`;
  return { data: { "text/plain": title, "text/html": svg } };
}

/** Means over equal runs of records, few enough for one line; losses that are not finite are out. */
function bucketMeans(records: readonly LossRecord[]): { step: number; loss: number }[] {
  const size = Math.ceil(records.length / MAX_POINTS);
  const points: { step: number; loss: number }[] = [];
  for (let start = 0; start < records.length; start += size) {
    let sum = 0;
    let count = 0;
    const end = Math.min(start + size, records.length);
    for (let i = start; i < end; i++) {
      if (!Number.isFinite(records[i].loss)) continue;
      sum += records[i].loss;
      count++;
    }
    if (count > 0) points.push({ step: records[end - 1].step, loss: sum / count });
  }
  return points;
}

function scale(from: number, to: number, start: number, end: number): (value: number) => number {
  return (value) => start + ((value - from) / (to - from || 1)) * (end - start);
}
