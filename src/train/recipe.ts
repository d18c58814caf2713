/** Recipes: which stages a training has, and what each trains on. Plain data and pure functions. */
import { captionBatch, type EmojiVqa, instructionBatch, Sampler } from "../data/mod.ts";
import { imageTokens, type Lvlm } from "../models/mod.ts";
import { type HostInputs, type Inputs, Random, sessionSeed, unknownName } from "../tensor/mod.ts";
import type { AdamWOptions } from "./optimizer.ts";
import { cosineWithWarmup, type Schedule } from "./schedule.ts";
import { batchInputs } from "./step.ts";

/** Parameters that learn at a rate of their own, chosen by the beginning of their paths. */
export interface TrainedGroup {
  /** Name, for records. */
  name: string;
  /** Beginnings of paths, such as `language.` */
  paths: readonly string[];
  /** Factor on the stage's learning rate. */
  rateScale: number;
}

/** One stage of a training. */
export interface Stage {
  /** Name, for records and figures. */
  name: string;
  /** Number of optimizer steps. */
  steps: number;
  /** Highest learning rate. */
  learningRate: number;
  /** Factor on it by step. */
  schedule: Schedule;
  /** What learns; everything else stays as it is. */
  trained: readonly TrainedGroup[];
  /** Give the model its experts before this stage, as copies of the dense networks. */
  upcycle: boolean;
  /** Coefficient of the load-balancing loss. */
  auxiliary: number;
  /** The batch of a step: a pure function of its number. */
  inputs: (model: Lvlm, step: number) => HostInputs<Inputs>;
  /** Tokens of one batch, image slots and padding included: for speeds. */
  tokens: number;
}

/** A training from start to end. */
export interface Recipe {
  /** Name, for records. */
  name: string;
  /** Seed of batches and new parameters. */
  seed: number;
  /** The stages, in order. */
  stages: readonly Stage[];
  /** The optimizer's settings. */
  optimizer: AdamWOptions;
  /** All numbers of the recipe, for records: two recipes are equal if these are. */
  settings: Readonly<Record<string, unknown>>;
}

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
  /** Coefficient of the load-balancing loss (paper: 0.001). */
  auxiliary?: number;
  /** Share of the steps in which the learning rate rises (paper: 0.03). */
  warmup?: number;
  /** Largest norm of the gradients. */
  clipNorm?: number;
  /** Decay rates of the optimizer's moments. */
  betas?: readonly [number, number];
}

const DEFAULTS: Required<TwoStageOptions> = {
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
  auxiliary: 0.001,
  warmup: 0.03,
  clipNorm: 1,
  betas: [0.9, 0.98],
};

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
 * The paper's training (section 3.1): stage 1 trains the connector on captions; stage 2 gives the
 * language model its experts, as copies of its feed-forward networks, and trains everything on
 * questions. One function for every variant: a dense model simply gets no experts.
 *
 * @throws {RangeError} on an unknown setting (the nearest is offered) or a number out of range.
 */
export function twoStage(data: EmojiVqa, options: TwoStageOptions = {}): Recipe {
  const settings = check(options);
  const { seed, ocrWeight } = settings;
  const groups = data.kinds("train");
  const sampler = (stage: number, batchSize: number) =>
    new Sampler({ seed: seed * 2 + stage, batchSize, groups, weights: { ocr: ocrWeight } });
  const captions = sampler(1, settings.connectorBatch);
  const questions = sampler(2, settings.instructionBatch);
  const longest = LENGTHS[data.scale];
  const captionLength = rowLength(longest.slots, longest.caption, 1);
  const questionLength = rowLength(longest.slots, longest.question, settings.questionsPerImage);
  const schedule = (steps: number) => cosineWithWarmup(Math.ceil(settings.warmup * steps), steps);
  const layout = (model: Lvlm, length: number) => ({
    tokenizer: data.tokenizer,
    length,
    imageTokens: imageTokens(model.config.vision),
  });
  return {
    name: "two-stage",
    seed,
    settings: { ...settings, data: data.scale, pictures: data.sizes.train },
    optimizer: { betas: settings.betas, clipNorm: settings.clipNorm },
    stages: [
      {
        name: "1 connector on captions",
        steps: settings.connectorSteps,
        learningRate: settings.connectorRate,
        schedule: schedule(settings.connectorSteps),
        trained: [{ name: "connector", paths: ["connector."], rateScale: 1 }],
        upcycle: false,
        auxiliary: 0,
        tokens: settings.connectorBatch * captionLength,
        inputs: (model, step) =>
          batchInputs(
            captionBatch(
              data.samples("train", captions.batch(step)),
              layout(model, captionLength),
            ),
            data.imageSize,
          ),
      },
      {
        name: "2 everything on questions",
        steps: settings.instructionSteps,
        learningRate: settings.instructionRate,
        schedule: schedule(settings.instructionSteps),
        trained: [
          { name: "vision", paths: ["vision."], rateScale: settings.visionScale },
          { name: "language", paths: ["connector.", "language."], rateScale: 1 },
        ],
        upcycle: true,
        auxiliary: settings.auxiliary,
        tokens: settings.instructionBatch * questionLength,
        inputs: (model, step) =>
          batchInputs(
            instructionBatch(data.samples("train", questions.batch(step)), {
              ...layout(model, questionLength),
              questionsPerImage: settings.questionsPerImage,
              random: new Random(seed, `questions ${step}`),
            }),
            data.imageSize,
          ),
      },
    ],
  };
}

function check(options: TwoStageOptions): Required<TwoStageOptions> {
  for (const name of Object.keys(options)) {
    if (!Object.hasOwn(DEFAULTS, name)) {
      throw unknownName("twoStage setting", name, Object.keys(DEFAULTS));
    }
  }
  const all = { ...DEFAULTS, seed: sessionSeed(), ...options };
  for (const [name, value] of Object.entries(all)) {
    if (name === "betas") continue;
    const whole = !/Rate|Scale|Weight|auxiliary|warmup|clip/.test(name);
    const least = /Batch|PerImage|clip|ocrWeight/.test(name) ? Number.MIN_VALUE : 0;
    if (typeof value !== "number" || !(value >= least) || (whole && !Number.isSafeInteger(value))) {
      throw new RangeError(
        `twoStage: ${name} = ${value} must be a ${whole ? "whole " : ""}number` +
          `${least > 0 ? " above 0" : " of at least 0"}`,
      );
    }
  }
  return all;
}
