/**
 * Sounds: their samples, and below them the log-mel spectrogram that a model hears.
 *
 * @module
 */

import type { Figure, Json, Trace } from "./figure.ts";
import { round } from "./numbers.ts";
import { cell, panelSuffix, panelTitle } from "./panels.ts";
import { axis, baseLayout, PALETTE, topMargin } from "./theme.ts";

/** A sound to be drawn. */
export interface DrawnSound {
  /** What is heard. */
  readonly name: string;
  /** The samples, -1 to 1. */
  readonly wave: ArrayLike<number>;
  /** `[frames, bands]`, frame by frame. */
  readonly values: ArrayLike<number>;
  /** Frames of the spectrogram. */
  readonly frames: number;
  /** Its bands, the lowest first. */
  readonly bands: number;
}

/** Options of {@linkcode spectrograms}. */
export interface SpectrogramOptions {
  /** Title; "Sounds" by default. */
  readonly title?: string;
  /** Samples a second; 8000 by default. */
  readonly rate?: number;
  /** Samples from one frame to the next; 80 by default. */
  readonly hop?: number;
  /** Sounds in a row; 5 at most by default. */
  readonly columns?: number;
}

const WAVE_HEIGHT = 54, MAP_HEIGHT = 110, ROW_GAP = 62, WITHIN = 8;
/** Points of a drawn wave: a low and a high one for each part. */
const WAVE_PARTS = 160;

/**
 * Draws sounds: the wave above, the spectrogram below, both over the same seconds. Bright cells are
 * loud; the palette's lightness grows steadily, so that it can be read without colour (cividis, Nuñez,
 * Anderton and Renslow 2018).
 *
 * @param sounds The sounds, row by row.
 * @param options Title and numbers of the spectrogram.
 * @returns A figure.
 * @throws {RangeError} If there are no sounds, or a spectrogram's values do not fill it.
 */
export function spectrograms(
  sounds: readonly DrawnSound[],
  options: SpectrogramOptions = {},
): Figure {
  if (sounds.length === 0) throw new RangeError("spectrograms() needs at least one sound, got 0.");
  const { rate = 8000, hop = 80, columns = Math.min(5, sounds.length) } = options;
  const rows = Math.ceil(sounds.length / columns);
  const heading = {
    title: options.title ?? "Sounds",
    subtitle: "above: samples; below: log-mel spectrogram, bright is loud",
    width: Math.min(1000, Math.max(420, 110 + 175 * columns)),
    headroom: 16,
  };
  const top = topMargin(heading), bottom = 56;
  const rowHeight = WAVE_HEIGHT + WITHIN + MAP_HEIGHT;
  const inner = rows * rowHeight + (rows - 1) * ROW_GAP;
  const share = (pixels: number): number => round(1 - pixels / inner);

  const data: Trace[] = [];
  const axes: Record<string, Json> = {};
  const annotations: Json[] = [];
  sounds.forEach((sound, index) => {
    const column = index % columns, row = Math.floor(index / columns);
    const x = cell(column, columns, 0.035), up = row * (rowHeight + ROW_GAP);
    const waveAxis = panelSuffix(2 * index), mapAxis = panelSuffix(2 * index + 1);
    const seconds = sound.wave.length / rate;
    const isLowest = index + columns >= sounds.length;
    data.push(waveLine(sound, rate, waveAxis), heatCells(sound, hop / rate, mapAxis));
    const time = { domain: x, range: [0, round(seconds)], showgrid: false, nticks: 4 };
    axes[`xaxis${waveAxis}`] = axis({
      title: "",
      ...time,
      anchor: `y${waveAxis}`,
      showticklabels: false,
    });
    axes[`yaxis${waveAxis}`] = axis({
      title: "",
      domain: [share(up + WAVE_HEIGHT), share(up)],
      anchor: `x${waveAxis}`,
      range: [-1, 1],
      showticklabels: false,
      ticks: "",
      showgrid: false,
    });
    axes[`xaxis${mapAxis}`] = axis({
      title: isLowest ? "seconds" : "",
      ...time,
      anchor: `y${mapAxis}`,
    });
    axes[`yaxis${mapAxis}`] = axis({
      title: column === 0 ? "mel band" : "",
      domain: [share(up + rowHeight), share(up + WAVE_HEIGHT + WITHIN)],
      anchor: `x${mapAxis}`,
      range: [-0.5, sound.bands - 0.5],
      nticks: 4,
      showticklabels: column === 0,
      showgrid: false,
    });
    annotations.push(panelTitle(sound.name, x[0], share(up)));
  });
  return {
    data,
    layout: baseLayout({
      ...heading,
      height: Math.round(top + inner + bottom),
      margin: { l: 64, r: 24, t: top, b: bottom },
      ...axes,
      annotations,
      showlegend: false,
    }),
  };
}

/** The lowest and the highest sample of every short part. */
function waveLine({ name, wave }: DrawnSound, rate: number, suffix: string): Trace {
  const size = Math.max(1, Math.ceil(wave.length / WAVE_PARTS));
  const x: number[] = [], y: number[] = [];
  for (let start = 0; start < wave.length; start += size) {
    let low = Infinity, high = -Infinity;
    for (let i = start; i < Math.min(wave.length, start + size); i++) {
      low = Math.min(low, wave[i]);
      high = Math.max(high, wave[i]);
    }
    const time = round((start + size / 2) / rate);
    x.push(time, time);
    y.push(Number(low.toFixed(3)), Number(high.toFixed(3)));
  }
  return {
    type: "scatter",
    mode: "lines",
    name,
    x,
    y,
    xaxis: `x${suffix}`,
    yaxis: `y${suffix}`,
    line: { color: PALETTE[0], width: 1 },
    hoverinfo: "skip",
  };
}

function heatCells(
  { name, values, frames, bands }: DrawnSound,
  secondsPerFrame: number,
  suffix: string,
): Trace {
  if (values.length !== frames * bands) {
    throw new RangeError(
      `spectrograms(): "${name}" has ${values.length} values for ${frames} frames × ${bands} bands.`,
    );
  }
  return {
    type: "heatmap",
    name,
    z: Array.from(
      { length: bands },
      (_, band) =>
        Array.from(
          { length: frames },
          (_, frame) => Number(values[frame * bands + band].toFixed(2)),
        ),
    ),
    x0: round(secondsPerFrame / 2),
    dx: secondsPerFrame,
    y0: 0,
    dy: 1,
    zmin: -1,
    zmax: 1,
    xaxis: `x${suffix}`,
    yaxis: `y${suffix}`,
    colorscale: "Cividis",
    showscale: false,
    hovertemplate: `${name}, %{x:.2f} s, band %{y}: %{z}<extra></extra>`,
  };
}
