/** Recipes: which stages a training has, and what each trains on. Plain data. */
import type { Lvlm, UpcycleOptions } from "../models/mod.ts";
import type { BalanceOptions, Coefficient } from "../moe/mod.ts";
import type { HostInputs, Inputs } from "../tensor/mod.ts";
import type { AdamWOptions } from "./optimizer.ts";
import type { Schedule } from "./schedule.ts";

/** Parameters that learn at a rate of their own, chosen by the beginning of their paths. */
export interface TrainedGroup {
  /** Name, for records. */
  name: string;
  /** Beginnings of paths, such as `language.`; `*` stands for one name, as in `language.blocks.*.ffn.` */
  paths: readonly string[];
  /** Factor on the stage's learning rate. */
  rateScale: number;
  /** Take of the feed-forward layers only those with experts, and nothing else. Default false. */
  onlyMixtures?: boolean;
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
  /** How the copies are made to differ. Default not at all, as published. */
  upcycling?: UpcycleOptions;
  /** Coefficient of the load-balancing loss: one, or one for each modality's router. */
  auxiliary: Coefficient;
  /** How that loss is formed. Default as published. */
  balance?: BalanceOptions;
  /** Coefficient of the router z-loss. Default 0, as published. */
  zLoss?: Coefficient;
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
