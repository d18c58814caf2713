/** The mean of several models' weights (Wortsman et al. 2022, "model soups", arXiv 2203.05482). */
import { setValues } from "../tensor/mod.ts";
import type { AnyPublished } from "./load_published.ts";
import {
  copyTree,
  type LanguageOwner,
  ownerOf,
  type Remade,
  remade,
  tensorsIn,
} from "./model_tree.ts";

/**
 * A model of the weighted mean of the weights of several models of one shape, buffers included. It has
 * weights of its own; its settings are those of the first. Experts of one model are merged by
 * {@linkcode extractDense}.
 *
 * @param models at least one, or loaded checkpoints; all with the same tensors
 * @param shares of the models in the mean, divided by their sum. Default equal ones.
 * @throws {RangeError} if tensors differ in path or shape, or shares are negative, all zero, or more
 * or fewer than models.
 */
export async function mergeModels<M extends LanguageOwner | AnyPublished>(
  models: readonly M[],
  shares: readonly number[] = models.map(() => 1),
): Promise<Remade<M>> {
  const total = shares.reduce((a, b) => a + b, 0);
  if (models.length === 0 || shares.length !== models.length) {
    throw new RangeError(`mergeModels: ${models.length} models with ${shares.length} shares`);
  }
  if (shares.some((s) => !(s >= 0)) || !(total > 0 && total < Infinity)) {
    throw new RangeError(`mergeModels: shares ${shares.join(", ")} must be at least 0, not all 0`);
  }
  const owners: LanguageOwner[] = models.map((m) => ownerOf(m));
  const all = owners.map(tensorsIn);
  const [first] = all;
  for (const [i, other] of all.entries()) {
    const strange = [...other.keys()].find((path) => !first.has(path)) ??
      [...first].find(([path, t]) => other.get(path)?.shape.join() !== t.shape.join())?.[0];
    if (strange === undefined) continue;
    const of = (m: typeof first) => m.has(strange) ? `[${m.get(strange)!.shape}]` : "nothing";
    throw new RangeError(
      `mergeModels: ${strange} is ${of(first)} in the first model and ${of(other)} in model ` +
        `${i + 1}; only models of one shape have a mean`,
    );
  }
  const merged = await copyTree(owners[0]);
  for (const [path, t] of tensorsIn(merged)) {
    const sums = new Float64Array(t.size).fill(-0); // so that zeros keep their sign
    for (const [i, tensors] of all.entries()) {
      if (shares[i] === 0) continue;
      const values = await tensors.get(path)!.data(), share = shares[i] / total;
      for (let n = 0; n < sums.length; n++) sums[n] += share * values[n];
    }
    setValues(t, sums);
  }
  return remade(models[0], merged);
}
