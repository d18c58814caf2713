/** One training step as a compiled function. */
import { balanceLoss, type BalanceOptions, choiceCounts, type Coefficient } from "../moe/mod.ts";
import {
  applyLanguage,
  applyLvlm,
  type ApplyOptions,
  embed,
  embedWordScenes,
  type LanguageInputs,
  type Lvlm,
  type LvlmInputs,
  type LvlmOutputs,
} from "../models/mod.ts";
import {
  add,
  cast,
  compile,
  type Compiled,
  crossEntropy,
  currentSession,
  gradients,
  type HostTensor,
  type Inputs,
  reshape,
  type Tensor,
  unknownName,
} from "../tensor/mod.ts";
import type { Batch, TokenBatch, WordSceneBatch } from "../data/mod.ts";
import { LossScaler } from "./loss_scale.ts";
import { routingExtras } from "./routing_extras.ts";
import type { AdamW } from "./optimizer.ts";
import { routedTokens } from "./routing_reader.ts";
import { type ClassInputs, tokenClasses } from "./token_classes.ts";

/**
 * Type of a training step's activations and of the weights as it multiplies them. With `f16`, norms,
 * softmax, routing and losses stay f32, as do the parameters themselves, their gradients where they are
 * collected, and the optimizer's moments (Micikevicius et al. 2018, section 3.1).
 */
export type Precision = "f32" | "f16";

/**
 * Results of a step. With a scaled loss also `lossScale`, a scalar as it was used, and `scaling`, its
 * update; with `records` also what `routingReader` reads.
 */
export interface StepOutputs extends Record<string, Tensor | readonly Tensor[]> {
  /** Cross-entropy, a scalar. */
  loss: Tensor;
  /** Auxiliary loss with its coefficient, a scalar; not part of `loss`. */
  auxiliary: Tensor;
  /** Norm of the gradients before clipping, a scalar. */
  gradientNorm: Tensor;
  /** For each mixture layer the choices of every expert by modality, `[modalities, E]`. */
  choices: readonly Tensor[];
  /** The optimizer's update. */
  effect: Tensor;
  /** Updates of the biases of loss-free balancing; what else routing adds: `routingExtras`. */
  biases: readonly Tensor[];
}

/** Options of {@linkcode trainingStep}. */
export interface StepOptions extends BalanceOptions, ApplyOptions {
  /** Coefficient of the load-balancing loss, one or one for each router. Default 0.001. */
  auxiliary?: Coefficient;
  /** Also give the routing of every token, for `routingReader`. Default false. */
  records?: boolean;
  /** Coefficient of the router z-loss, likewise. Default 0. */
  zLoss?: Coefficient;
  /** Default `f32`. */
  precision?: Precision;
  /** Scale of the loss. Default a new one with precision `f16`, none with `f32`. */
  lossScaler?: LossScaler;
}

/** Token arrays of a batch as host tensors. */
export function tokenInputs(batch: TokenBatch): Record<string, HostTensor> {
  const shape = [batch.size, batch.length];
  const { tokens, positions, segments, modality, valid, labels } = batch;
  return Object.fromEntries(
    Object.entries({ tokens, positions, segments, modality, valid, labels })
      .map(([name, data]) => [name, { data, shape }]),
  );
}

/** A batch of pictures and texts as inputs of a compiled function. */
export function batchInputs(batch: Batch, imageSize: number): Record<string, HostTensor> {
  const shape = [batch.size, 3, imageSize, imageSize];
  return { ...tokenInputs(batch), pixels: { data: batch.pixels, shape } };
}

/** A batch of word scenes as inputs of a compiled function. */
export function wordSceneInputs(batch: WordSceneBatch): Record<string, HostTensor> {
  const { sceneWords, size, wordsPerPatch } = batch;
  const shape = [size, sceneWords.length / size / wordsPerPatch, wordsPerPatch];
  return { ...tokenInputs(batch), sceneWords: { data: sceneWords, shape } };
}

/**
 * The model on the named inputs of a batch: pictures where there are any, else word scenes. The type
 * of its first activations is that of all others.
 */
export function forward(
  model: Lvlm,
  inputs: Record<string, Tensor>,
  precision: Precision = "f32",
  options: ApplyOptions = {},
): LvlmOutputs {
  const tokens = inputs as unknown as LanguageInputs;
  if (inputs.pixels) {
    const pixels = cast(inputs.pixels, precision);
    return applyLvlm(model, { ...inputs, pixels } as unknown as LvlmInputs, options);
  }
  const scene = inputs.sceneWords && embedWordScenes(model.language, inputs.sceneWords);
  return applyLanguage(
    model.language,
    model.config,
    cast(embed(model.language, tokens.tokens, scene), precision),
    tokens,
    options,
  );
}

/**
 * The compiled training step of a model: forward, losses, gradients, update.
 *
 * @throws {Error} if the device cannot compute in the precision. @throws {RangeError} if it is unknown.
 */
export function trainingStep(
  model: Lvlm,
  optimizer: AdamW,
  options: StepOptions = {},
): Compiled<Inputs, StepOutputs> {
  const {
    auxiliary = 0.001,
    records = false,
    zLoss = 0,
    precision = "f32",
    lossScaler,
    recompute,
    ...balance
  } = options;
  checkPrecision(precision);
  const scaler = lossScaler ?? (precision === "f16" ? new LossScaler() : undefined);
  return compile<Inputs, StepOutputs>((inputs) => {
    const modelOutputs = forward(model, inputs, precision, { recompute }),
      { logits, routings } = modelOutputs;
    const loss = crossEntropy(logits, reshape(inputs.labels, [inputs.labels.size]));
    const aux = balanceLoss(routings, auxiliary, balance);
    const lossScale = scaler?.scale();
    const extras = routingExtras(model, modelOutputs, zLoss);
    const objective = extras.zLoss ? add(add(loss, aux), extras.zLoss) : add(loss, aux);
    const grads = gradients(objective, [...optimizer.parameters.values()], lossScale);
    const { effect, gradientNorm, finite } = optimizer.update(grads, inputs.hyper, lossScale);
    const outputs = {
      ...extras,
      loss,
      auxiliary: aux,
      gradientNorm,
      choices: routings.map(choiceCounts),
      ...(records && routedTokens(routings, tokenClasses(inputs as unknown as ClassInputs))),
      effect,
    };
    return scaler && lossScale && finite
      ? { ...outputs, lossScale, scaling: scaler.update(finite) }
      : outputs;
  });
}

function checkPrecision(precision: Precision): void {
  if (precision !== "f32" && precision !== "f16") {
    throw unknownName("precision", precision, ["f32", "f16"]);
  }
  if (precision === "f32") return;
  const { f16, name } = currentSession().gpu.adapter;
  if (f16) return;
  throw new Error(
    `training with precision "f16": ${name} has no 16-bit floats (WebGPU feature shader-f16); ` +
      `use precision "f32"`,
  );
}
