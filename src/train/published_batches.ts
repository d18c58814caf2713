/** From conversations about pictures to batches that published models train on. */
import type { LlavaBatch } from "../data/mod.ts";
import { expandImageTokens, type ExpandOptions, type PaddedRows } from "../models/mod.ts";
import type { PublishedBatch } from "./fit_published.ts";

/** Options of {@linkcode publishedBatches}. */
export interface PublishedBatchesOptions extends ExpandOptions {
  /**
   * Rows are padded to a multiple of this length: a step is compiled anew for each length, so that
   * few lengths save more than the padding costs. Default 64.
   */
  multiple?: number;
}

/**
 * The batches of `llavaBatches()` as `fitPublished()` takes them: image tokens expanded, rows padded.
 *
 * @throws {RangeError} if `multiple` is not a whole number from 1.
 *
 * @example
 * ```ts ignore
 * const batches = publishedBatches(llavaBatches(data, options), { imageToken, features: 729 });
 * await fitPublished(published, { steps: 1000, batches });
 * ```
 */
export async function* publishedBatches(
  batches: AsyncIterable<LlavaBatch>,
  { multiple = 64, ...options }: PublishedBatchesOptions,
): AsyncGenerator<PublishedBatch> {
  if (!Number.isInteger(multiple) || multiple < 1) {
    throw new RangeError(`multiple should be a whole number from 1, it is ${multiple}`);
  }
  for await (const { rows, pixels, shape } of batches) {
    const padded = lengthened(expandImageTokens(rows, options), multiple, options);
    yield { ...padded, ...(shape[0] > 0 && { pixels: { data: pixels, shape } }) };
  }
}

/** Rows with more padding, on the same side. */
function lengthened(
  rows: PaddedRows,
  multiple: number,
  { padToken = 0, side = "right" }: ExpandOptions,
): PaddedRows {
  const [size, length] = rows.shape, longer = multiple * Math.ceil(length / multiple);
  const wider = (values: Int32Array, padding: number) => {
    const result = new Int32Array(size * longer).fill(padding);
    for (let row = 0; row < size; row++) {
      const start = row * longer + (side === "left" ? longer - length : 0);
      result.set(values.subarray(row * length, (row + 1) * length), start);
    }
    return result;
  };
  return {
    shape: [size, longer],
    tokens: wider(rows.tokens, padToken),
    mask: wider(rows.mask, 0),
    labels: wider(rows.labels, -100),
    positions: wider(rows.positions, 0),
  };
}
