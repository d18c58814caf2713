/** The published recipes: two stages, and the three stages that they are compared with. */
import type { EmojiVqa } from "../data/mod.ts";
import type { Recipe, Stage, TrainedGroup } from "./recipe.ts";
import {
  checkSettings,
  THREE_STAGE,
  type ThreeStageOptions,
  TWO_STAGE,
  type TwoStageOptions,
} from "./settings.ts";
import { connectorStage, nestedSubset, questionStage } from "./stages.ts";

function recipe(
  name: string,
  data: EmojiVqa,
  settings: Required<TwoStageOptions>,
  stages: Stage[],
): Recipe {
  return {
    name,
    seed: settings.seed,
    settings: {
      ...settings,
      data: data.scale,
      pictures: nestedSubset(data.sizes.train, settings.fraction).length,
    },
    optimizer: { betas: settings.betas, clipNorm: settings.clipNorm },
    stages,
  };
}

/**
 * The paper's training (section 3.1): stage 1 trains the connector on captions; stage 2 gives the
 * language model its experts, as copies of its feed-forward networks, and trains everything on
 * questions. One function for every variant: a dense model simply gets no experts.
 *
 * @throws {RangeError} on an unknown setting (the nearest is offered) or a number out of range.
 */
export function twoStage(data: EmojiVqa, options: TwoStageOptions = {}): Recipe {
  const settings = checkSettings("twoStage", options, TWO_STAGE);
  return recipe("two-stage", data, settings, [
    connectorStage("1 connector on captions", { data, settings }),
    questionStage({
      name: "2 everything on questions",
      steps: settings.instructionSteps,
      learningRate: settings.instructionRate,
      upcycle: true,
    }, { data, settings }),
  ]);
}

/** What the third stage trains, by the setting `trains`. */
const EXPERTS: Readonly<Record<NonNullable<ThreeStageOptions["trains"]>, TrainedGroup>> = {
  "mixtures": {
    name: "mixtures",
    paths: ["language.blocks.*.ffn."],
    rateScale: 1,
    onlyMixtures: true,
  },
  "every-ffn": { name: "feed-forward", paths: ["language.blocks.*.ffn."], rateScale: 1 },
};

/**
 * The three stages that the paper compares with (table 3, section A.4; the order of MoE-LLaVA): stage
 * 1 trains the connector on captions; stage 2 trains everything, still dense, on questions; stage 3
 * gives the model its experts and trains nothing but them. By default it takes the steps of
 * {@linkcode twoStage}, and sees the same batches in the same order.
 *
 * @throws {RangeError} on an unknown setting (the nearest is offered) or a number out of range.
 */
export function threeStage(data: EmojiVqa, options: ThreeStageOptions = {}): Recipe {
  const settings = checkSettings("threeStage", options, THREE_STAGE);
  return recipe("three-stage", data, settings, [
    connectorStage("1 connector on captions", { data, settings }),
    questionStage({
      name: "2 dense on questions",
      steps: settings.instructionSteps,
      learningRate: settings.instructionRate,
      upcycle: false,
    }, { data, settings }),
    questionStage({
      name: "3 experts on questions",
      steps: settings.expertSteps,
      learningRate: settings.expertRate,
      upcycle: true,
      trained: [EXPERTS[settings.trains]],
      from: settings.instructionSteps,
    }, { data, settings }),
  ]);
}
