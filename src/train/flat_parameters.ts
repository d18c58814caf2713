/** Parameters of an optimizer in one flat piece of device memory, group by group. */
import { flattenInPlace, type Tensor } from "../tensor/mod.ts";

/** Parameters that share hyper-parameters. */
export interface ParameterGroup {
  /** Name, for records. */
  name: string;
  /** The parameters, by path. */
  parameters: ReadonlyMap<string, Tensor>;
  /** Factor on the learning rate. Default 1. */
  rateScale?: number;
  /** Weight decay. Default that of the optimizer. */
  weightDecay?: number;
}

/** What one update makes, for the results of a compiled step. */
export interface Update {
  /** Changes the parameters when it is among the results of a compiled function. */
  effect: Tensor;
  /** Norm of all gradients before clipping, a scalar. */
  gradientNorm: Tensor;
  /** Bool scalar, of a scaled loss: every gradient is finite; otherwise nothing is changed. */
  finite?: Tensor;
}

/** Parameters moved together. */
export interface FlatParameters {
  /** The groups that have parameters. */
  groups: readonly ParameterGroup[];
  /** All parameters by path, group by group. */
  all: ReadonlyMap<string, Tensor>;
  /** All of them in one tensor, with zeros in between. */
  flat: Tensor;
  /** First element of each parameter. */
  offsets: readonly number[];
  /** Element behind each group. */
  ends: readonly number[];
}

/**
 * Moves the parameters of an optimizer into one flat tensor; they stay as they are for their users.
 *
 * @param what the optimizer, named in errors
 * @throws {RangeError} if there is nothing to train, or a parameter is in two groups.
 */
export function flattenGroups(groups: readonly ParameterGroup[], what: string): FlatParameters {
  const used = groups.filter((g) => g.parameters.size > 0);
  const all = new Map<string, Tensor>();
  for (const { name, parameters } of used) {
    for (const [path, t] of parameters) {
      if (all.has(path)) throw new RangeError(`${what}: ${path} is in group "${name}" and before`);
      all.set(path, t);
    }
  }
  if (all.size === 0) throw new RangeError(`${what}: there are no parameters to train`);
  const { flat, offsets } = flattenInPlace([...all.values()]);
  let count = 0;
  const ends = used.map((g) => offsets[count += g.parameters.size] ?? flat.size);
  return { groups: used, all, flat, offsets, ends };
}
