/** AdamW over all parameters at once: one flat array, one kernel. */
import { makeEffect, setValues, type Tensor, tensor } from "../tensor/mod.ts";
import { packGradients } from "./gradients.ts";
import { flattenGroups, type ParameterGroup, type Update } from "./flat_parameters.ts";

/** Hyper-parameters of {@linkcode AdamW}. */
export interface AdamWOptions {
  /** Decay rates of the two moments. Default [0.9, 0.999]. */
  betas?: readonly [number, number];
  /** Added to the denominator. Default 1e-8. */
  epsilon?: number;
  /** Decoupled weight decay of groups that name none. Default 0. */
  weightDecay?: number;
  /** Largest norm of all gradients together; larger ones are scaled down. Default none. */
  clipNorm?: number;
}

/** Numbers of one group in the hyper-parameter tensor. */
const FIELDS = 8;

/**
 * AdamW (Loshchilov and Hutter 2019), in the order of operations of torch.optim.AdamW. Making one
 * moves the parameters into one flat piece of device memory.
 */
export class AdamW {
  /** The groups, in the order of the hyper-parameters. */
  readonly groups: readonly ParameterGroup[];
  /** All parameters by path, group by group. */
  readonly parameters: ReadonlyMap<string, Tensor>;
  readonly #options: Required<Omit<AdamWOptions, "clipNorm">> & { clipNorm: number | undefined };
  readonly #flat: Tensor;
  readonly #offsets: readonly number[];
  readonly #ends: readonly number[];
  readonly #m: Tensor;
  readonly #v: Tensor;

  /**
   * Takes the parameters over; their moments start at zero.
   *
   * @throws {RangeError} if there is nothing to train, a parameter is in two groups, or a
   * hyper-parameter is out of range.
   */
  constructor(groups: readonly ParameterGroup[], options: AdamWOptions = {}) {
    const { betas = [0.9, 0.999], epsilon = 1e-8, weightDecay = 0, clipNorm } = options;
    for (const beta of betas) {
      if (!(beta >= 0 && beta < 1)) throw new RangeError(`AdamW: beta ${beta} must be in [0, 1)`);
    }
    if (!(epsilon >= 0)) throw new RangeError(`AdamW: epsilon ${epsilon} must not be negative`);
    if (clipNorm !== undefined && !(clipNorm > 0)) {
      throw new RangeError(`AdamW: clipNorm ${clipNorm} must be positive`);
    }
    this.#options = { betas, epsilon, weightDecay, clipNorm };
    const { groups: used, all, flat, offsets, ends } = flattenGroups(groups, "AdamW");
    this.groups = used;
    this.parameters = all;
    this.#flat = flat;
    this.#offsets = offsets;
    this.#ends = ends;
    this.#m = tensor(new Float32Array(flat.size), {
      name: "AdamW first moments",
      owner: "optimizer",
    });
    this.#v = tensor(new Float32Array(flat.size), {
      name: "AdamW second moments",
      owner: "optimizer",
    });
  }

  /**
   * The update for given gradients, as part of a graph.
   *
   * @param grads one for each parameter, in the order of {@linkcode parameters}
   * @param hyper `[groups, 8]`, the values of {@linkcode hyper} for this step
   * @param lossScale scalar that the loss was multiplied with, see `LossScaler`; a gradient that is
   * infinite or NaN then leaves parameters and moments as they are (the step still counts in `hyper`)
   */
  update(grads: readonly Tensor[], hyper: Tensor, lossScale?: Tensor): Update {
    const { clipNorm } = this.#options;
    const { packed, gradientNorm, scale, finite } = packGradients(grads, clipNorm, lossScale);
    const effect = makeEffect(
      "adamw",
      [this.#flat, this.#m, this.#v, packed, hyper, scale],
      { ends: this.#ends },
    );
    return finite ? { effect, gradientNorm, finite } : { effect, gradientNorm };
  }

  /**
   * Hyper-parameters of one step, `[groups, 8]`.
   *
   * @param rate learning rate @param step number of the step, from 1
   */
  hyper(rate: number, step: number): Float32Array {
    const { betas: [beta1, beta2], epsilon, weightDecay } = this.#options;
    return Float32Array.from(
      this.groups.flatMap((g) => {
        const mine = rate * (g.rateScale ?? 1);
        return [
          1 - mine * (g.weightDecay ?? weightDecay),
          mine / (1 - beta1 ** step),
          beta1,
          1 - beta1,
          beta2,
          1 - beta2,
          Math.sqrt(1 - beta2 ** step),
          epsilon,
        ];
      }),
    );
  }

  /** Shape of {@linkcode hyper}. */
  get hyperShape(): number[] {
    return [this.groups.length, FIELDS];
  }

  /** The moments of every parameter, read back for a checkpoint. */
  async state(): Promise<
    { path: string; shape: readonly number[]; m: Float32Array; v: Float32Array }[]
  > {
    const [m, v] = [await this.#m.data(), await this.#v.data()] as Float32Array[];
    return [...this.parameters].map(([path, t], i) => {
      const from = this.#offsets[i], to = from + t.size;
      return { path, shape: t.shape, m: m.slice(from, to), v: v.slice(from, to) };
    });
  }

  /**
   * Restores the moments.
   *
   * @throws {RangeError} if a parameter is missing or has another size; nothing is changed then.
   */
  restore(read: (path: string) => { m: Float32Array; v: Float32Array } | undefined): void {
    const m = new Float32Array(this.#flat.size), v = new Float32Array(this.#flat.size);
    [...this.parameters].forEach(([path, t], i) => {
      const saved = read(path);
      if (!saved || saved.m.length !== t.size || saved.v.length !== t.size) {
        throw new RangeError(
          `AdamW: the saved state of ${path} has ${saved?.m.length ?? 0} values, not ${t.size}`,
        );
      }
      m.set(saved.m, this.#offsets[i]);
      v.set(saved.v, this.#offsets[i]);
    });
    setValues(this.#m, m);
    setValues(this.#v, v);
  }

  /** Gives the moments' memory back; the parameters stay. */
  dispose(): void {
    this.#m.dispose();
    this.#v.dispose();
  }
}
