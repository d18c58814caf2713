/** How far experts that started equal have moved from each other, and from where they started. */
import type { Lvlm } from "../models/mod.ts";
import type { FeedForward } from "../moe/mod.ts";

/**
 * Cosine similarity of every two vectors, a·b / ‖a‖‖b‖: 1 on the diagonal, NaN with a vector of zeros.
 *
 * @returns `[n][n]`
 */
export function pairwiseCosine(vectors: readonly ArrayLike<number>[]): number[][] {
  const norms = vectors.map((v) => Math.sqrt(dot(v, v)));
  return vectors.map((a, i) =>
    vectors.map((b, j) => i === j && norms[i] > 0 ? 1 : dot(a, b) / (norms[i] * norms[j]))
  );
}

/** Relative distance of a vector from where it started, ‖v − v₀‖ / ‖v₀‖. */
export function relativeDrift(vector: ArrayLike<number>, initial: ArrayLike<number>): number {
  if (vector.length !== initial.length) {
    throw new RangeError(
      `relativeDrift: ${vector.length} weights cannot have started as ${initial.length}`,
    );
  }
  let moved = 0;
  for (let i = 0; i < vector.length; i++) moved += (vector[i] - initial[i]) ** 2;
  return Math.sqrt(moved / dot(initial, initial));
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

/** The weights of each expert of a layer, gate and up projections before down projections. */
export async function expertVectors(
  { gateUp, down, table }: Pick<FeedForward, "gateUp" | "down" | "table">,
): Promise<Float32Array[]> {
  const parts = [await gateUp.data(), await down.data()], e = table.experts.length;
  return table.experts.map((_, i) => {
    const mine = parts.map((p) => p.subarray(i * p.length / e, (i + 1) * p.length / e));
    const vector = new Float32Array(mine[0].length + mine[1].length);
    vector.set(mine[0]);
    vector.set(mine[1], mine[0].length);
    return vector;
  });
}

/** The networks that the experts of a model start from, by layer: take them before it is upcycled. */
export async function denseVectors(model: Lvlm): Promise<Map<number, Float32Array>> {
  const found = new Map<number, Float32Array>();
  for (const [i, { ffn }] of model.language.blocks.entries()) {
    if (ffn.table.experts.length === 1) found.set(i, (await expertVectors(ffn))[0]);
  }
  return found;
}

/** Similarity and drift of the experts of a layer. */
export interface ExpertWeights {
  /** The layer's place in the network. */
  readonly layer: number;
  /** Names of the experts. */
  readonly experts: readonly string[];
  /** Cosine of the weights of every two experts, `[E][E]`. */
  readonly cosine: readonly (readonly number[])[];
  /** Cosine of what every two experts learned (weights minus start); empty if no start is known. */
  readonly learned: readonly (readonly number[])[];
  /** Relative distance of each expert from where all started; empty if no start is known. */
  readonly drift: readonly number[];
}

/**
 * Similarity of the experts of each mixture layer, and their drift from the network that all of them
 * started as copies of.
 *
 * @param initial what the experts started from, by layer, see {@linkcode denseVectors}; layers of other
 * sizes (slices of experts) are passed over
 */
export async function expertWeights(
  model: Lvlm,
  initial: ReadonlyMap<number, ArrayLike<number>> = new Map(),
): Promise<ExpertWeights[]> {
  const layers: ExpertWeights[] = [];
  for (const [layer, { ffn }] of model.language.blocks.entries()) {
    if (ffn.table.experts.length === 1) continue;
    const vectors = await expertVectors(ffn), start = initial.get(layer);
    const known = start !== undefined && start.length === vectors[0].length;
    layers.push({
      layer,
      experts: ffn.table.experts.map((e) => e.name),
      cosine: pairwiseCosine(vectors),
      learned: known ? pairwiseCosine(vectors.map((v) => v.map((w, i) => w - start[i]))) : [],
      drift: known ? vectors.map((v) => relativeDrift(v, start)) : [],
    });
  }
  return layers;
}
