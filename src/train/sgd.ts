/** Stochastic gradient descent over all parameters at once: one flat array, one kernel. */
import { makeEffect, type Tensor, tensor } from "../tensor/mod.ts";
import { flattenGroups, type ParameterGroup, type Update } from "./flat_parameters.ts";
import { packGradients } from "./gradients.ts";

/** Hyper-parameters of {@linkcode Sgd}. */
export interface SgdOptions {
  /** Share of the last step that is kept. Default 0. */
  momentum?: number;
  /** Nesterov's momentum: look ahead along the step. Needs momentum. Default false. */
  nesterov?: boolean;
  /** L2 penalty, added to the gradient, of groups that name none. Default 0. */
  weightDecay?: number;
  /** Largest norm of all gradients together; larger ones are scaled down. Default none. */
  clipNorm?: number;
}

/** Numbers of one group in the hyper-parameter tensor. */
const FIELDS = 4;

/**
 * Stochastic gradient descent with momentum, in the order of operations of torch.optim.SGD (without
 * dampening). Making one moves the parameters into one flat piece of device memory.
 */
export class Sgd {
  /** The groups, in the order of the hyper-parameters. */
  readonly groups: readonly ParameterGroup[];
  /** All parameters by path, group by group. */
  readonly parameters: ReadonlyMap<string, Tensor>;
  readonly #options: Required<Omit<SgdOptions, "clipNorm">> & { clipNorm: number | undefined };
  readonly #flat: Tensor;
  readonly #ends: readonly number[];
  readonly #velocity: Tensor;

  /**
   * Takes the parameters over; their velocity starts at zero.
   *
   * @throws {RangeError} if there is nothing to train, a parameter is in two groups, or a
   * hyper-parameter is out of range.
   */
  constructor(groups: readonly ParameterGroup[], options: SgdOptions = {}) {
    const { momentum = 0, nesterov = false, weightDecay = 0, clipNorm } = options;
    if (!(momentum >= 0 && momentum < 1)) {
      throw new RangeError(`Sgd: momentum ${momentum} must be in [0, 1)`);
    }
    if (nesterov && momentum === 0) throw new RangeError("Sgd: nesterov needs a momentum above 0");
    if (clipNorm !== undefined && !(clipNorm > 0)) {
      throw new RangeError(`Sgd: clipNorm ${clipNorm} must be positive`);
    }
    this.#options = { momentum, nesterov, weightDecay, clipNorm };
    const { groups: used, all, flat, ends } = flattenGroups(groups, "Sgd");
    this.groups = used;
    this.parameters = all;
    this.#flat = flat;
    this.#ends = ends;
    this.#velocity = tensor(new Float32Array(flat.size), {
      name: "Sgd velocity",
      owner: "optimizer",
    });
  }

  /**
   * The update for given gradients, as part of a graph.
   *
   * @param grads one for each parameter, in the order of {@linkcode parameters}
   * @param hyper `[groups, 4]`, the values of {@linkcode hyper} for this step
   * @param lossScale scalar that the loss was multiplied with, see `LossScaler`; a gradient that is
   * infinite or NaN then leaves everything as it is
   */
  update(grads: readonly Tensor[], hyper: Tensor, lossScale?: Tensor): Update {
    const { clipNorm } = this.#options;
    const { packed, gradientNorm, scale, finite } = packGradients(grads, clipNorm, lossScale);
    const effect = makeEffect(
      "sgd",
      [this.#flat, this.#velocity, packed, hyper, scale],
      { ends: this.#ends },
    );
    return finite ? { effect, gradientNorm, finite } : { effect, gradientNorm };
  }

  /** Hyper-parameters of one step, `[groups, 4]`. @param rate learning rate */
  hyper(rate: number): Float32Array {
    const { momentum, nesterov, weightDecay } = this.#options;
    return Float32Array.from(
      this.groups.flatMap((g) => [
        rate * (g.rateScale ?? 1),
        momentum,
        g.weightDecay ?? weightDecay,
        nesterov ? 1 : 0,
      ]),
    );
  }

  /** Shape of {@linkcode hyper}. */
  get hyperShape(): number[] {
    return [this.groups.length, FIELDS];
  }

  /** Gives the velocity's memory back; the parameters stay. */
  dispose(): void {
    this.#velocity.dispose();
  }
}
