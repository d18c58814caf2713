/**
 * Backbones in miniature. The paper starts from a pretrained vision encoder (SigLIP) and language
 * model (Phi-3, LLaMA-3); the small presets start from these two, trained here on the data set's own
 * pictures and texts:
 *
 * - the vision encoder names the words of what lies in each patch, with a sigmoid loss for every word
 *   of the vocabulary (supervised; in place of SigLIP's image-text pairs);
 * - the language model answers questions about word scenes, in which each image slot is the sum of the
 *   embeddings of the words that lie there, and learns text-only facts. This is a synthetic
 *   alignment of places and things ahead of pictures, not ordinary language pretraining.
 */
import { applyLinear, type Linear } from "../nn/mod.ts";
import { applyVision, type Vision, type VisionConfig } from "../models/mod.ts";
import {
  cast,
  type Compiled,
  compile,
  equal,
  expand,
  gradients,
  type Inputs,
  iota,
  max,
  mean,
  minimum,
  mul,
  notEqual,
  softplus,
  sub,
  sum,
  type Tensor,
  unsqueeze,
} from "../tensor/mod.ts";
import type { AdamW } from "./optimizer.ts";

/** Results of a vision pretraining step. */
export interface VisionStepOutputs extends Record<string, Tensor> {
  /** Mean over patches of the summed loss of all words. */
  loss: Tensor;
  /** Norm of the gradients before clipping. */
  gradientNorm: Tensor;
  /** The optimizer's update. */
  effect: Tensor;
}

/**
 * For each patch and word, 1 if the word lies in the patch.
 *
 * @param words `[B, I, W]` i32, padded with 0 @returns `[B, I, vocabulary]` f32
 */
export function wordTargets(words: Tensor, vocabulary: number): Tensor {
  const [b, slots, w] = words.shape;
  const shape = [b, slots, w, vocabulary];
  const hit = cast(equal(expand(unsqueeze(words, 3), shape), iota(shape, 3)), "f32");
  const real = cast(notEqual(words, 0), "f32");
  return minimum(max(mul(hit, unsqueeze(real, 3)), { axes: 2 }), 1);
}

/** Sigmoid loss of word logits, summed over words and averaged over patches. */
export function wordLoss(logits: Tensor, targets: Tensor): Tensor {
  return mean(sum(sub(softplus(logits), mul(logits, targets)), { axes: 2 }));
}

/** The compiled step of vision pretraining; inputs `pixels`, `sceneWords` and `hyper`. */
export function visionStep(
  vision: Vision,
  head: Linear,
  config: VisionConfig,
  optimizer: AdamW,
): Compiled<Inputs, VisionStepOutputs> {
  return compile<Inputs, VisionStepOutputs>((inputs) => {
    const logits = applyLinear(head, applyVision(vision, config, inputs.pixels));
    const loss = wordLoss(logits, wordTargets(inputs.sceneWords, head.weight.shape[0]));
    const grads = gradients(loss, [...optimizer.parameters.values()]);
    const { effect, gradientNorm } = optimizer.update(grads, inputs.hyper);
    return { loss, gradientNorm, effect };
  });
}
