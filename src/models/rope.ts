/**
 * Rotary position embedding, and the ways in which published models stretch it to texts longer than
 * those they were trained on. Follows Hugging Face transformers, `modeling_rope_utils.py` and
 * `models/phi3/modeling_phi3.py` (4.45).
 */
import {
  add,
  cast,
  cos,
  div,
  exp,
  greater,
  greaterEqual,
  log,
  max,
  maximum,
  mul,
  rotaryAngles,
  sin,
  sub,
  type Tensor,
  tensor,
  where,
} from "../tensor/mod.ts";

/** How a rotary embedding is stretched. */
export type RopeScaling =
  /** Positions are divided by a factor (Chen et al. 2023). */
  | { readonly kind: "linear"; readonly factor: number }
  /** The base grows with the text from `positions` tokens on ("dynamic NTK"). */
  | { readonly kind: "dynamic"; readonly factor: number; readonly positions: number }
  /** Slow frequencies are divided by a factor, quick ones kept, those between blended (Llama 3.1). */
  | {
    readonly kind: "llama3";
    readonly factor: number;
    /** Waves longer than `positions / lowFrequency` tokens are slow. */
    readonly lowFrequency: number;
    /** Waves shorter than `positions / highFrequency` tokens are quick. */
    readonly highFrequency: number;
    /** Tokens of the texts of pretraining. */
    readonly positions: number;
  }
  /** A factor for every frequency, others for long texts (LongRoPE, Ding et al. 2024; Phi-3). */
  | {
    readonly kind: "longrope";
    /** `[size / 2]`, for texts of up to `positions` tokens. */
    readonly short: readonly number[];
    /** `[size / 2]`, for longer texts. */
    readonly long: readonly number[];
    /** Tokens of the texts of pretraining. */
    readonly positions: number;
    /** Factor on cosines and sines, by which attention gets sharper. */
    readonly attentionFactor: number;
  };

/** A rotary embedding. */
export interface Rope {
  /** Base θ. */
  readonly base: number;
  /** Width of a head. */
  readonly size: number;
  /** How it is stretched. Default not at all. */
  readonly scaling?: RopeScaling;
}

/** θ^(-2i / size), i from 0 to size / 2. */
function plainFrequencies({ base, size }: Rope): number[] {
  if (!(size > 0) || size % 2 !== 0) {
    throw new RangeError(`rotary embedding: head size ${size} must be even`);
  }
  return Array.from({ length: size / 2 }, (_, i) => base ** (-2 * i / size));
}

/** Llama 3.1's frequencies. */
function llama3(plain: number[], s: RopeScaling & { kind: "llama3" }): number[] {
  return plain.map((f) => {
    const waves = s.positions * f / (2 * Math.PI);
    if (waves < s.lowFrequency) return f / s.factor;
    if (waves > s.highFrequency) return f;
    const quick = (waves - s.lowFrequency) / (s.highFrequency - s.lowFrequency);
    return (1 - quick) * f / s.factor + quick * f;
  });
}

/** Divides each frequency by its factor. */
function divided(plain: number[], factors: readonly number[], what: string): Tensor {
  if (factors.length !== plain.length) {
    throw new RangeError(
      `longrope: ${factors.length} ${what} factors, a head of ${2 * plain.length} needs ` +
        `${plain.length}`,
    );
  }
  return tensor(Float32Array.from(plain, (f, i) => f / factors[i]));
}

/** Number of tokens of the longest text: one more than the largest position that is no padding. */
function longest(positions: Tensor, valid: Tensor | undefined): Tensor {
  return add(max(valid ? where(greaterEqual(valid, 1), positions, 0) : positions), 1);
}

/**
 * Frequencies in radians a position, `[size / 2]`. Those of `longrope` and `dynamic` depend on the
 * longest text of the batch.
 *
 * @param positions `[B, T]` i32 @param valid `[B, T]` i32, 0 for padding; all count if missing
 * @throws {RangeError} if the head size is odd or the number of factors does not fit it.
 */
export function ropeFrequencies(rope: Rope, positions: Tensor, valid?: Tensor): Tensor {
  const { scaling, size } = rope, plain = plainFrequencies(rope);
  const fixed = (list: number[]) => tensor(Float32Array.from(list));
  if (!scaling) return fixed(plain);
  switch (scaling.kind) {
    case "linear":
      return fixed(plain.map((f) => f / scaling.factor));
    case "llama3":
      return fixed(llama3(plain, scaling));
    case "longrope": {
      const long = greater(longest(positions, valid), scaling.positions);
      return where(
        long,
        divided(plain, scaling.long, "long"),
        divided(plain, scaling.short, "short"),
      );
    }
    case "dynamic": {
      const { factor } = scaling;
      if (size === 2) return fixed(plain);
      const length = div(cast(longest(positions, valid), "f32"), scaling.positions);
      const growth = log(maximum(sub(mul(length, factor), factor - 1), 1));
      const exponents = plain.map((_, i) => -2 * i / (size - 2));
      return mul(fixed(plain), exp(mul(fixed(exponents), growth)));
    }
  }
}

/**
 * Cosines and sines of a rotary embedding, `[B, T, size]`, in LLaMA's layout.
 *
 * @param positions `[B, T]` i32 @param valid `[B, T]` i32, 0 for padding; all count if missing
 * @throws {RangeError} as {@linkcode ropeFrequencies}.
 */
export function rotary(
  rope: Rope,
  positions: Tensor,
  valid?: Tensor,
): { cos: Tensor; sin: Tensor } {
  const angles = rotaryAngles(ropeFrequencies(rope, positions, valid), positions);
  const { scaling } = rope;
  const factor = scaling?.kind === "longrope" ? scaling.attentionFactor : 1;
  const scaled = (x: Tensor) => factor === 1 ? x : mul(x, factor);
  return { cos: scaled(cos(angles)), sin: scaled(sin(angles)) };
}
