/** Log-mel spectrograms: what a model hears of a sound. */
import { powerSpectrum } from "./fft.ts";

/** How a sound is cut and measured. */
export interface LogMelOptions {
  /** Samples a second. Default 8000. */
  readonly rate?: number;
  /** Samples of a frame, a power of 2. Default 256 (32 ms). */
  readonly window?: number;
  /** Samples from one frame to the next. Default 80 (10 ms). */
  readonly hop?: number;
  /** Mel bands. Default 20. */
  readonly bands?: number;
  /** Lowest and highest frequency in Hz. Default 100 to 3800. */
  readonly range?: readonly [low: number, high: number];
  /** What is so many decades of power below the loudest cell counts as silence. Default 4 (40 dB). */
  readonly decades?: number;
}

/** A log-mel spectrogram. */
export interface LogMel {
  /** Number of frames. */
  readonly frames: number;
  /** Number of bands. */
  readonly bands: number;
  /** `[frames, bands]`, from -1 (silence) to 1 (the loudest cell). */
  readonly values: Float32Array;
}

/** Mel scale (O'Shaughnessy 1987, the formula of HTK). */
export const mel = (hertz: number): number => 2595 * Math.log10(1 + hertz / 700);

/** Frequency in Hz of a place on the mel scale. */
export const hertz = (mel: number): number => 700 * (10 ** (mel / 2595) - 1);

/**
 * Weights of triangular filters, evenly spaced on the mel scale, `[bands][window / 2 + 1]`; each rises
 * from the centre of the one before to 1 at its own and falls to the centre of the next.
 */
export function melFilters(options: LogMelOptions = {}): Float64Array[] {
  const { rate = 8000, window = 256, bands = 20, range: [low, high] = [100, 3800] } = options;
  const step = (mel(high) - mel(low)) / (bands + 1);
  const edge = (i: number) => hertz(mel(low) + i * step);
  return Array.from({ length: bands }, (_, band) => {
    const [left, centre, right] = [edge(band), edge(band + 1), edge(band + 2)];
    return Float64Array.from({ length: window / 2 + 1 }, (_, k) => {
      const f = k * rate / window;
      return Math.max(0, Math.min((f - left) / (centre - left), (right - f) / (right - centre)));
    });
  });
}

/**
 * The log-mel spectrogram of a sound: frames under a Hann window, power spectrum, mel filters, logarithm.
 * It is relative to the loudest cell, so that loudness tells nothing.
 *
 * @param wave samples
 * @throws {RangeError} if the sound is shorter than a frame.
 */
export function logMel(wave: ArrayLike<number>, options: LogMelOptions = {}): LogMel {
  const { window = 256, hop = 80, decades = 4 } = options;
  if (wave.length < window) {
    throw new RangeError(
      `logMel() needs at least one frame of ${window} samples, got ${wave.length}`,
    );
  }
  const filters = melFilters(options), bands = filters.length;
  const frames = 1 + Math.floor((wave.length - window) / hop);
  // The periodic form: the samples of n + 1 without the last.
  const hann = Float64Array.from(
    { length: window },
    (_, i) => 0.5 - 0.5 * Math.cos(2 * Math.PI * i / window),
  );
  const energies = new Float64Array(frames * bands);
  const cut = new Float64Array(window);
  for (let frame = 0; frame < frames; frame++) {
    for (let i = 0; i < window; i++) cut[i] = hann[i] * wave[frame * hop + i];
    const power = powerSpectrum(cut);
    for (const [band, filter] of filters.entries()) {
      let sum = 0;
      for (let k = 0; k < power.length; k++) sum += filter[k] * power[k];
      energies[frame * bands + band] = sum;
    }
  }
  const loudest = energies.reduce((a, b) => Math.max(a, b)) || 1; // of silence all is silent
  const values = Float32Array.from(energies, (energy) => {
    const below = Math.log10(energy / loudest);
    return 1 + 2 * Math.max(below, -decades) / decades;
  });
  return { frames, bands, values };
}
