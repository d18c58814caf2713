/**
 * Training with something to look at: a progress line with time left, a live loss curve in notebooks,
 * and a Stop button that keeps the state.
 *
 * @module
 */

import type { Lvlm } from "../models/mod.ts";
import { type Figure, lossCurve } from "../plot/mod.ts";
import { fit, type FitOptions, type Recipe, type Run } from "../train/mod.ts";
import { interruptible } from "./interruptible.ts";
import { LiveLoss } from "./live_loss.ts";
import { Progress } from "./progress.ts";

/** Options of {@linkcode train}. */
export type TrainOptions = Omit<FitOptions, "signal">;

/** A training that can be drawn. */
export interface LiveRun extends Run {
  /** The loss of every step, stage by stage. */
  curves(): Figure;
}

/** Records of a run as the loss figure takes them: steps of all stages in a row. */
export function curvesOf(run: Pick<Run, "records">, title: string = "Training loss"): Figure {
  const records = run.records.map(({ loss, learningRate, stage }, step) => ({
    step,
    loss,
    learningRate,
    stage,
  }));
  return lossCurve(records, { title });
}

/**
 * Trains a model by a recipe and shows how it goes. Stop (or Ctrl-C) ends after the step at hand; the
 * model keeps what it learned, and with a checkpoint path running the cell again resumes.
 *
 * @example
 * ```ts ignore
 * import { train, twoStage } from "@moiie/lab";
 * const run = await train(model, twoStage(data));
 * ```
 */
export async function train(
  model: Lvlm,
  recipe: Recipe,
  options: TrainOptions = {},
): Promise<LiveRun> {
  using stop = interruptible();
  const total = recipe.stages.reduce((n, s) => n + s.steps, 0);
  const progress = new Progress({ label: "training", total });
  const live = new LiveLoss({ title: "Training loss" });
  const run = await fit(model, recipe, {
    ...options,
    signal: stop.signal,
    onStep: async (p) => {
      const { loss, learningRate } = p.record;
      progress.update(p.done, { loss, tokensPerSecond: p.tokensPerSecond, note: p.stage.name });
      live.add({ step: p.done - 1, loss, learningRate, stage: p.stage.name });
      await options.onStep?.(p);
    },
  });
  await progress.done(run.complete ? "done" : "stopped; what was learned is kept");
  await live.done();
  return { ...run, curves: () => curvesOf(run) };
}
