/**
 * Sounds to listen to in a notebook.
 *
 * @module
 */

import { encodeWav, SAMPLE_RATE } from "../data/mod.ts";
import { encodeBase64 } from "../plot/base64.ts";
import { escapeHtml } from "../study/report.ts";
import type { MimeBundle } from "./jupyter.ts";

/** A sound that `show` plays in a notebook and names in a terminal. */
export interface Sound {
  /** What it is and how long, in words. */
  toString(): string;
}

/**
 * Makes a sound to be shown: in a notebook a player with the sound inside (a WAV file as a data address,
 * so that nothing is fetched), in a terminal its name and length.
 *
 * @param samples From -1 to 1.
 * @param name What is heard.
 * @param rate Samples a second; 8000 by default, as of spoken digits.
 * @returns A value for `show`.
 * @throws {RangeError} If there are no samples.
 */
export function sound(
  samples: ArrayLike<number>,
  name: string,
  rate: number = SAMPLE_RATE,
): Sound {
  if (samples.length === 0) throw new RangeError(`sound(): "${name}" has no samples.`);
  const text = `Sound: ${name}, ${(samples.length / rate).toFixed(1)} s`;
  const bundle = (): MimeBundle => {
    const wav = encodeBase64(encodeWav(samples, rate));
    return {
      "text/plain": text,
      "text/html": `<figure style="margin:0"><figcaption>${escapeHtml(name)}</figcaption>` +
        `<audio controls preload="metadata" src="data:audio/wav;base64,${wav}"></audio></figure>`,
    };
  };
  return { toString: () => text, [Symbol.for("Jupyter.display")]: bundle } as Sound;
}
