/** One training step as a compiled function. */
import { balanceLoss, type BalanceOptions, choiceCounts, type Coefficient } from "../moe/mod.ts";
import {
  applyLanguage,
  applyLvlm,
  embed,
  embedWordScenes,
  type LanguageInputs,
  type Lvlm,
  type LvlmInputs,
  type LvlmOutputs,
} from "../models/mod.ts";
import {
  add,
  compile,
  type Compiled,
  crossEntropy,
  gradients,
  type HostTensor,
  type Inputs,
  reshape,
  type Tensor,
} from "../tensor/mod.ts";
import type { Batch, TokenBatch, WordSceneBatch } from "../data/mod.ts";
import type { AdamW } from "./optimizer.ts";

/** Results of a step. */
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
}

/** Options of {@linkcode trainingStep}. */
export interface StepOptions extends BalanceOptions {
  /** Coefficient of the load-balancing loss, one or one for each router. Default 0.001. */
  auxiliary?: Coefficient;
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

/** The model on the named inputs of a batch: pictures where there are any, else word scenes. */
export function forward(model: Lvlm, inputs: Record<string, Tensor>): LvlmOutputs {
  const tokens = inputs as unknown as LanguageInputs;
  if (inputs.pixels) return applyLvlm(model, inputs as unknown as LvlmInputs);
  const scene = inputs.sceneWords && embedWordScenes(model.language, inputs.sceneWords);
  return applyLanguage(
    model.language,
    model.config,
    embed(model.language, tokens.tokens, scene),
    tokens,
  );
}

/** The compiled training step of a model: forward, losses, gradients, update. */
export function trainingStep(
  model: Lvlm,
  optimizer: AdamW,
  options: StepOptions = {},
): Compiled<Inputs, StepOutputs> {
  const { auxiliary = 0.001, ...balance } = options;
  return compile<Inputs, StepOutputs>((inputs) => {
    const { logits, routings } = forward(model, inputs);
    const loss = crossEntropy(logits, reshape(inputs.labels, [inputs.labels.size]));
    const aux = balanceLoss(routings, auxiliary, balance);
    const grads = gradients(add(loss, aux), [...optimizer.parameters.values()]);
    const { effect, gradientNorm } = optimizer.update(grads, inputs.hyper);
    return {
      loss,
      auxiliary: aux,
      gradientNorm,
      choices: routings.map(choiceCounts),
      effect,
    };
  });
}
