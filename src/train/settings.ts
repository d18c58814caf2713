/** Settings of the published recipes, with defaults that suit the tiny preset. */
import type { BalanceOptions, Coefficient } from "../moe/mod.ts";
import { sessionSeed, unknownName } from "../tensor/mod.ts";

/** Settings of {@linkcode twoStage}. Defaults suit the tiny preset (chosen on the val split). */
export interface TwoStageOptions {
  /** Seed of batches and routers. Default the session's. */
  seed?: number;
  /** Steps of the first stage. */
  connectorSteps?: number;
  /** Pictures in a batch of the first stage. */
  connectorBatch?: number;
  /** Highest learning rate of the first stage. */
  connectorRate?: number;
  /** Steps of the second stage. */
  instructionSteps?: number;
  /** Pictures in a batch of the second stage. */
  instructionBatch?: number;
  /** Highest learning rate of the second stage. */
  instructionRate?: number;
  /** Factor on the vision encoder's learning rate in the second stage (paper: 0.1). */
  visionScale?: number;
  /** Questions asked about each picture. */
  questionsPerImage?: number;
  /** How much more often pictures with text are drawn. */
  ocrWeight?: number;
  /**
   * Share of the training pictures that are used, above 0 and at most 1. The smaller set is part of
   * every larger one, whatever the seed. The number of steps stays the same.
   */
  fraction?: number;
  /**
   * Coefficient of the load-balancing loss (paper: 0.001): one for all routers, or one for each
   * modality, as in `{ text: 0.001, image: 0.01 }`.
   */
  auxiliary?: Coefficient;
  /** Coefficient of the router z-loss, likewise (ST-MoE: 0.001). Default 0, as published. */
  zLoss?: Coefficient;
  /** `slots` (balanced value k, as published) or `fraction` (balanced value 1, Switch). */
  convention?: NonNullable<BalanceOptions["convention"]>;
  /** Load-balancing over the tokens of all layers, `pooled` as published, or layer by layer, `layers`. */
  reduction?: NonNullable<BalanceOptions["reduction"]>;
  /** Standard deviation of noise on the experts when they are copied. Default 0, as published. */
  upcycleNoise?: number;
  /** Share of every expert's inner units that start anew (Drop-Upcycling). Default 0, as published. */
  upcycleDrop?: number;
  /** Share of the steps in which the learning rate rises (paper: 0.03). */
  warmup?: number;
  /** Largest norm of the gradients. */
  clipNorm?: number;
  /** Decay rates of the optimizer's moments. */
  betas?: readonly [number, number];
}

/** Settings of {@linkcode threeStage}: those of {@linkcode twoStage} and of the third stage. */
export interface ThreeStageOptions extends TwoStageOptions {
  /** Steps of the third stage. */
  expertSteps?: number;
  /** Highest learning rate of the third stage. */
  expertRate?: number;
  /**
   * What the third stage trains: the layers with experts, routers included (`mixtures`, the paper's
   * words), or the feed-forward network of every layer (`every-ffn`, what the published code does: it
   * unfreezes every parameter with "mlp" in its name, in dense layers too).
   */
  trains?: "mixtures" | "every-ffn";
}

/** Defaults of {@linkcode twoStage}. */
export const TWO_STAGE: Required<TwoStageOptions> = {
  seed: 0,
  connectorSteps: 250,
  connectorBatch: 32,
  connectorRate: 3e-3,
  instructionSteps: 430,
  instructionBatch: 16,
  instructionRate: 2e-3,
  visionScale: 0.25,
  questionsPerImage: 3,
  ocrWeight: 4,
  fraction: 1,
  auxiliary: 0.001,
  zLoss: 0,
  convention: "slots",
  reduction: "pooled",
  upcycleNoise: 0,
  upcycleDrop: 0,
  warmup: 0.03,
  clipNorm: 1,
  betas: [0.9, 0.98],
};

/**
 * Defaults of {@linkcode threeStage}. Stages 2 and 3 share the steps of the second stage of
 * {@linkcode twoStage} as the paper's stages share its 2 M and 0.78 M samples (section A.4), so that
 * the two recipes take the same steps.
 */
export const THREE_STAGE: Required<ThreeStageOptions> = {
  ...TWO_STAGE,
  instructionSteps: 310,
  expertSteps: 120,
  expertRate: 2e-3,
  trains: "mixtures",
};

/** Settings that choose between words. */
const WORDS: Readonly<Record<string, readonly string[]>> = {
  convention: ["slots", "fraction"],
  reduction: ["pooled", "layers"],
  trains: ["mixtures", "every-ffn"],
};

/** Settings that need not be whole numbers. */
const REAL = /Rate|Scale|Weight|warmup|clip|fraction|Noise|Drop/;
/** Settings that must be above 0. */
const POSITIVE = /Batch|PerImage|clip|ocrWeight|fraction/;

/**
 * Fills in defaults and checks.
 *
 * @param recipe name of the function, for errors
 * @throws {RangeError} on an unknown setting or word (the nearest is offered), or a number out of
 * range.
 */
export function checkSettings<T extends Required<TwoStageOptions>>(
  recipe: string,
  options: Partial<T>,
  defaults: T,
): T {
  for (const name of Object.keys(options)) {
    if (!Object.hasOwn(defaults, name)) {
      throw unknownName(`${recipe} setting`, name, Object.keys(defaults));
    }
  }
  const all = { ...defaults, seed: sessionSeed(), ...options };
  for (const [name, value] of Object.entries(all)) {
    if (name === "betas") continue; // the optimizer checks them
    if (name === "auxiliary" || name === "zLoss") {
      checkCoefficient(recipe, name, value as Coefficient);
    } else if (name in WORDS) {
      if (!WORDS[name].includes(value as string)) {
        throw unknownName(`${recipe} ${name}`, value, WORDS[name]);
      }
    } else checkNumber(recipe, name, value);
  }
  for (const name of ["fraction", "upcycleDrop"] as const) {
    if (all[name] > 1) {
      throw new RangeError(`${recipe}: ${name} = ${all[name]} must be at most 1, as it is a share`);
    }
  }
  return all;
}

function checkNumber(recipe: string, name: string, value: unknown): void {
  const whole = !REAL.test(name), least = POSITIVE.test(name) ? Number.MIN_VALUE : 0;
  if (typeof value !== "number" || !(value >= least) || (whole && !Number.isSafeInteger(value))) {
    throw new RangeError(
      `${recipe}: ${name} = ${value} must be a ${whole ? "whole " : ""}number` +
        `${least > 0 ? " above 0" : " of at least 0"}`,
    );
  }
}

/** One number, or numbers by modality. */
function checkCoefficient(recipe: string, name: string, value: Coefficient): void {
  const entries = typeof value === "object" && value !== null
    ? Object.entries(value).map(([modality, v]) => [`${name}.${modality}`, v] as const)
    : [[name, value] as const];
  for (const [path, v] of entries) {
    if (typeof v !== "number" || !(v >= 0 && v < Infinity)) {
      throw new RangeError(`${recipe}: ${path} = ${v} must be a number of at least 0`);
    }
  }
}
