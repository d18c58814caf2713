/**
 * Figures of several panels: where each panel lies, what its axes are called, and its title.
 *
 * @module
 */

import type { Json } from "./figure.ts";
import { round } from "./numbers.ts";

/**
 * The `index`-th of `count` equal parts of the unit interval, with a gap between parts.
 *
 * @param index Place of the part, from 0.
 * @param count Number of parts.
 * @param gap Share of the interval between two parts.
 * @returns Start and end of the part.
 */
export function cell(index: number, count: number, gap: number): [number, number] {
  const size = (1 - gap * (count - 1)) / count;
  const start = index * (size + gap);
  return [round(start), round(start + size)];
}

/**
 * Parts of the unit interval with the given weights, from the top downwards.
 *
 * @param weights Sizes of the parts relative to each other.
 * @param gap Share of the interval between two parts.
 * @returns Start and end of every part; the first part ends at 1.
 */
export function stack(weights: readonly number[], gap: number): [number, number][] {
  const unit = (1 - gap * (weights.length - 1)) / weights.reduce((sum, weight) => sum + weight, 0);
  let top = 1;
  return weights.map((weight) => {
    const part: [number, number] = [round(Math.max(0, top - weight * unit)), round(top)];
    top -= weight * unit + gap;
    return part;
  });
}

/**
 * What plotly appends to `x`, `y`, `xaxis` and `yaxis` for a panel.
 *
 * @param panel Place of the panel, from 0.
 * @returns `""` for the first panel, `"2"` for the second, …
 */
export function panelSuffix(panel: number): string {
  return panel === 0 ? "" : String(panel + 1);
}

/**
 * A title above the left corner of a panel.
 *
 * @param text The title; plotly markup is allowed.
 * @param x Left edge of the panel, 0 to 1 of the plot area.
 * @param y Upper edge of the panel, 0 to 1 of the plot area.
 * @returns A plotly annotation.
 */
export function panelTitle(text: string, x: number, y: number): Json {
  return {
    text,
    x,
    xref: "paper",
    xanchor: "left",
    align: "left",
    y,
    yref: "paper",
    yanchor: "bottom",
    showarrow: false,
    font: { size: 12 },
  };
}
