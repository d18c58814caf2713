/**
 * Dynamic loss scaling for training with f16 gradients. Small gradients are zero in f16 (below 6e-8)
 * and large ones infinite (above 65,504), so the loss is multiplied with a scale before its gradients
 * are formed, as large as they allow, and the gradients are divided by it afterwards.
 *
 * Micikevicius et al. 2018, "Mixed Precision Training" (arXiv 1710.03740), section 3.2; the rules are
 * those of torch.amp.GradScaler. Everything happens on the device: no step waits for a verdict.
 */
import {
  add,
  cat,
  greaterEqual,
  makeEffect,
  mul,
  narrow,
  reshape,
  setValues,
  type Tensor,
  tensor,
  where,
} from "../tensor/mod.ts";

/** Settings of a {@linkcode LossScaler}. */
export interface LossScaleOptions {
  /** Scale of the first step. Default 32,768 (half of torch's, whose first step often overflows). */
  initial?: number;
  /** Factor after a run of good steps. Default 2. */
  growth?: number;
  /** Factor after a step with a gradient that is infinite or NaN. Default 0.5. */
  backoff?: number;
  /** Good steps before the scale grows. Default 200, for trainings of hundreds of steps (torch: 2000). */
  growthInterval?: number;
}

/** The scale of the loss, and how it follows what the gradients were. */
export class LossScaler {
  /** `[2]` f32 in device memory: the scale, and the number of good steps since it last changed. */
  readonly state: Tensor;
  readonly #options: Required<LossScaleOptions>;

  /**
   * A scale at its beginning.
   *
   * @throws {RangeError} if a setting is out of range.
   */
  constructor(options: LossScaleOptions = {}) {
    const { initial = 2 ** 15, growth = 2, backoff = 0.5, growthInterval = 200 } = options;
    const bad = !(initial > 0 && initial < Infinity)
      ? `initial ${initial} must be a positive number`
      : !(growth > 1)
      ? `growth ${growth} must be more than 1`
      : !(backoff > 0 && backoff < 1)
      ? `backoff ${backoff} must be between 0 and 1`
      : !(Number.isInteger(growthInterval) && growthInterval >= 1)
      ? `growthInterval ${growthInterval} must be a whole number of at least 1`
      : undefined;
    if (bad) throw new RangeError(`LossScaler: ${bad}`);
    this.#options = { initial, growth, backoff, growthInterval };
    this.state = tensor([initial, 0], { name: "loss scale" });
  }

  /** The scale, a scalar: the upstream gradient of the loss. */
  scale(): Tensor {
    return reshape(narrow(this.state, 0, 0, 1), []);
  }

  /**
   * Adapts the scale when it is among the results of a compiled step, after everything else of it.
   *
   * @param finite bool scalar: no gradient of the step is infinite or NaN
   */
  update(finite: Tensor): Tensor {
    const { growth, backoff, growthInterval } = this.#options;
    const scale = narrow(this.state, 0, 0, 1), good = add(narrow(this.state, 0, 1, 1), 1);
    const grows = greaterEqual(good, growthInterval);
    const next = cat([
      where(finite, where(grows, mul(scale, growth), scale), mul(scale, backoff)),
      where(finite, where(grows, 0, good), 0),
    ]);
    return makeEffect("assign", [this.state, next], {});
  }

  /** The state as numbers, for checkpoints. */
  async values(): Promise<Float32Array> {
    return await this.state.data() as Float32Array;
  }

  /**
   * Restores the state.
   *
   * @throws {RangeError} if these are no values of a state; nothing is changed then.
   */
  restore(values: ArrayLike<number>): void {
    if (values.length !== 2 || !(values[0] > 0) || !(values[1] >= 0)) {
      throw new RangeError(
        `LossScaler: the saved state is [${Array.from(values)}], not a scale and a number of steps`,
      );
    }
    setValues(this.state, values);
  }

  /** Gives the memory back. */
  dispose(): void {
    this.state.dispose();
  }
}
