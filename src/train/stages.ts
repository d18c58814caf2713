/** The stages that the published recipes are made of. */
import { captionBatch, type EmojiVqa, instructionBatch, Sampler } from "../data/mod.ts";
import { imageTokens, type Lvlm } from "../models/mod.ts";
import { hashString, Random } from "../tensor/mod.ts";
import type { Stage } from "./recipe.ts";
import { routingNoise } from "./routing_extras.ts";
import { cosineWithWarmup } from "./schedule.ts";
import type { TwoStageOptions } from "./settings.ts";
import { batchInputs } from "./step.ts";

/** Row lengths that hold every caption, and the questions of a picture, of each scale. */
const LENGTHS: Readonly<Record<string, { caption: number; question: number; slots: number }>> = {
  tiny: { caption: 16, question: 9, slots: 16 },
  small: { caption: 24, question: 25, slots: 64 },
  full: { caption: 24, question: 25, slots: 64 },
};

/** Positions of a row with `texts` texts of at most `longest` tokens behind the image. */
function rowLength(slots: number, longest: number, texts: number): number {
  return 8 * Math.ceil((slots + longest * texts) / 8);
}

/**
 * Numbers of the pictures in a share of a data set, in order. Pictures are ranked once and for all,
 * by a hash of their numbers, so that a smaller share is part of every larger one and does not depend
 * on a seed: accuracy over data scale (paper figure 3) compares like with like.
 *
 * @param count pictures of the whole set @param fraction above 0 and at most 1
 * @returns ⌈fraction × count⌉ numbers, ascending
 */
export function nestedSubset(count: number, fraction: number): number[] {
  const all = Array.from({ length: count }, (_, i) => i);
  if (fraction === 1) return all;
  const rank = all.map((i) => hashString(`picture ${i}`));
  const ordered = [...all].sort((a, b) => rank[a] - rank[b] || a - b);
  return ordered.slice(0, Math.ceil(fraction * count)).sort((a, b) => a - b);
}

/** Draws batches of training pictures, from a share of them. */
export function pictureSampler(
  data: EmojiVqa,
  settings: Required<TwoStageOptions>,
  stage: number,
  batchSize: number,
): (step: number) => number[] {
  const { seed, ocrWeight, fraction } = settings;
  const kinds: readonly string[] = data.kinds("train");
  const pictures = nestedSubset(kinds.length, fraction);
  const groups = pictures.map((i) => kinds[i]);
  // A small share may have no picture with text.
  const weights: Record<string, number> = groups.includes("ocr") ? { ocr: ocrWeight } : {};
  const sampler = new Sampler({ seed: seed * 2 + stage, batchSize, groups, weights });
  return (step) => sampler.batch(step).map((i) => pictures[i]);
}

/** Where a stage's numbers come from. */
export interface StageSource {
  /** The data set. */
  data: EmojiVqa;
  /** The recipe's settings. */
  settings: Required<TwoStageOptions>;
}

const layout = (data: EmojiVqa, model: Lvlm, length: number) => ({
  tokenizer: data.tokenizer,
  length,
  imageTokens: imageTokens(model.config.vision),
});

/** Rises over the share of the steps that the settings name, then falls as a cosine. */
const scheduleOf = (warmup: number, steps: number) =>
  cosineWithWarmup(Math.ceil(warmup * steps), steps);

/** The connector learns captions; everything else stays as it is. */
export function connectorStage(name: string, { data, settings }: StageSource): Stage {
  const batch = pictureSampler(data, settings, 1, settings.connectorBatch);
  const longest = LENGTHS[data.scale];
  const length = rowLength(longest.slots, longest.caption, 1);
  return {
    name,
    steps: settings.connectorSteps,
    learningRate: settings.connectorRate,
    schedule: scheduleOf(settings.warmup, settings.connectorSteps),
    trained: [{ name: "connector", paths: ["connector."], rateScale: 1 }],
    upcycle: false,
    auxiliary: 0,
    tokens: settings.connectorBatch * length,
    inputs: (model, step) =>
      batchInputs(
        captionBatch(data.samples("train", batch(step)), layout(data, model, length)),
        data.imageSize,
      ),
  };
}

/** What sets one stage on questions apart from another. */
export type QuestionStage =
  & Pick<Stage, "name" | "steps" | "learningRate" | "upcycle">
  & Partial<Pick<Stage, "trained">>
  & {
    /** Steps on questions before this stage, whose batches are not shown again. Default 0. */
    from?: number;
  };

/** Questions about pictures; by default everything learns. */
export function questionStage(stage: QuestionStage, { data, settings }: StageSource): Stage {
  const { from = 0, ...rest } = stage;
  const batch = pictureSampler(data, settings, 2, settings.instructionBatch);
  const longest = LENGTHS[data.scale];
  const length = rowLength(longest.slots, longest.question, settings.questionsPerImage);
  return {
    trained: [
      { name: "vision", paths: ["vision."], rateScale: settings.visionScale },
      { name: "language", paths: ["connector.", "language."], rateScale: 1 },
    ],
    ...rest,
    schedule: scheduleOf(settings.warmup, stage.steps),
    auxiliary: settings.auxiliary,
    balance: { convention: settings.convention, reduction: settings.reduction },
    zLoss: settings.zLoss,
    upcycling: { noise: settings.upcycleNoise, drop: settings.upcycleDrop },
    tokens: settings.instructionBatch * length,
    inputs: (model, step) => ({
      ...batchInputs(
        instructionBatch(data.samples("train", batch(from + step)), {
          ...layout(data, model, length),
          questionsPerImage: settings.questionsPerImage,
          random: new Random(settings.seed, `questions ${from + step}`),
        }),
        data.imageSize,
      ),
      ...routingNoise(
        model,
        settings.instructionBatch * length,
        new Random(settings.seed, `routing noise ${from + step}`),
      ),
    }),
  };
}
