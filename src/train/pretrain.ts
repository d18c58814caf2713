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
import { captionBatch, type EmojiVqa, Sampler, wordSceneBatch } from "../data/mod.ts";
import { applyLinear, constant, type Linear, makeLinear, parameters } from "../nn/mod.ts";
import {
  applyVision,
  imageTokens,
  type Lvlm,
  makeVision,
  type Vision,
  type VisionConfig,
} from "../models/mod.ts";
import {
  cast,
  compile,
  type Compiled,
  equal,
  expand,
  gradients,
  type HostInputs,
  type Inputs,
  iota,
  max,
  mean,
  minimum,
  mul,
  notEqual,
  Random,
  softplus,
  sub,
  sum,
  type Tensor,
  unsqueeze,
} from "../tensor/mod.ts";
import { runSteps, type StepRecord } from "./loop.ts";
import { AdamW } from "./optimizer.ts";
import { cosineWithWarmup } from "./schedule.ts";
import { trainingStep, wordSceneInputs } from "./step.ts";

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

/** Settings of a pretraining run. */
export interface PretrainOptions {
  /** Seed of weights and batches. Default 0. */
  seed?: number;
  /** Optimizer steps. */
  steps: number;
  /** Samples a step. */
  batchSize: number;
  /** Highest learning rate, after a warm-up of 100 steps and before a cosine to 0. */
  learningRate: number;
  /** How much more often pictures (or scenes) with text are drawn. */
  ocrWeight: number;
  /** Called for every finished step. */
  onStep?: (record: StepRecord) => void;
}

const OPTIMIZER = { betas: [0.9, 0.98], clipNorm: 1 } as const;

/** The words of each patch take as many positions as a caption row has; only the scene is used. */
const CAPTION_LENGTH = 32;

/**
 * Trains a vision encoder to name the words of every patch. The word classifier is thrown away.
 *
 * @returns the encoder
 */
export async function pretrainVision(
  data: EmojiVqa,
  config: VisionConfig,
  options: PretrainOptions,
): Promise<Vision> {
  const { seed = 0, batchSize, ocrWeight } = options;
  const random = new Random(seed, "pretrain vision");
  const vision = makeVision(random.fork("encoder"), config);
  const words = data.tokenizer.size;
  const head: Linear = {
    weight: makeLinear(random.fork("head"), config.width, words, { std: 0.02 }).weight,
    bias: constant([words], -4), // most words are absent from most patches
  };
  const optimizer = new AdamW(
    [{ name: "vision", parameters: parameters({ vision, head }) }],
    OPTIMIZER,
  );
  const sampler = new Sampler({
    seed: seed * 2 + 1,
    batchSize,
    groups: data.kinds("train"),
    weights: { ocr: ocrWeight },
  });
  const layout = {
    tokenizer: data.tokenizer,
    length: CAPTION_LENGTH,
    imageTokens: imageTokens(config),
  };
  const size = data.imageSize;
  await optimize(options, optimizer, visionStep(vision, head, config, optimizer), (step) => {
    const samples = data.samples("train", sampler.batch(step));
    const scene = wordSceneBatch(samples, { ...layout, texts: "caption" });
    const { sceneWords } = wordSceneInputs(scene);
    const { pixels } = captionBatch(samples, layout);
    return { sceneWords, pixels: { data: pixels, shape: [batchSize, 3, size, size] } };
  });
  return vision;
}

/** Positions of a row of three questions about a scene. */
const QUESTION_LENGTH = 48;

/**
 * Trains the language model of `model` on word scenes: three batches in four ask questions, drawn for
 * each scene from its own and one text-only fact; every fourth batch describes the scenes.
 */
export async function pretrainLanguage(
  data: EmojiVqa,
  model: Lvlm,
  options: PretrainOptions,
): Promise<void> {
  const { seed = 0, batchSize, ocrWeight } = options;
  const optimizer = new AdamW(
    [{ name: "language", parameters: parameters(model.language) }],
    OPTIMIZER,
  );
  const sampler = new Sampler({
    seed: seed * 2 + 2,
    batchSize,
    groups: data.kinds("text"),
    weights: { ocr: ocrWeight },
  });
  const layout = {
    tokenizer: data.tokenizer,
    length: QUESTION_LENGTH,
    imageTokens: imageTokens(model.config.vision),
  };
  await optimize(options, optimizer, trainingStep(model, optimizer), (step) => {
    const samples = data.samples("text", sampler.batch(step));
    if (step % 4 === 3) {
      return wordSceneInputs(wordSceneBatch(samples, { ...layout, texts: "caption" }));
    }
    const random = new Random(seed, `pretrain language ${step}`);
    const withFact = samples.map((sample) => ({
      ...sample,
      questions: [...sample.questions, random.pick(data.facts)],
    }));
    return wordSceneInputs(
      wordSceneBatch(withFact, { ...layout, questionsPerImage: 3, random }),
    );
  });
}

/** Runs the steps of a pretraining with its schedule. */
async function optimize(
  options: PretrainOptions,
  optimizer: AdamW,
  run: Compiled<Inputs, Record<string, Tensor | readonly Tensor[]>>,
  inputs: (step: number) => HostInputs<Inputs>,
): Promise<void> {
  const { steps, learningRate, onStep } = options;
  const schedule = cosineWithWarmup(Math.min(100, Math.ceil(steps / 10)), steps);
  const rate = (step: number) => learningRate * schedule(step);
  using memory = new DisposableStack();
  memory.defer(() => optimizer.dispose());
  memory.defer(() => run.dispose());
  await runSteps({
    steps,
    run,
    learningRate: rate,
    inputs: (step) => ({
      ...inputs(step),
      hyper: { data: optimizer.hyper(rate(step), step + 1), shape: optimizer.hyperShape },
    }),
    onStep: (record) => onStep?.(record),
  });
}
