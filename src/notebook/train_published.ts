/**
 * Training a published model with something to look at, as `train()` does for the library's own.
 *
 * @module
 */

import type { AnyPublished, PublishedLvlm } from "../models/mod.ts";
import { type Figure, lossCurve } from "../plot/mod.ts";
import { type RoutingSummary, summaryOf } from "../study/mod.ts";
import { fitPublished, type FitPublishedOptions, type PublishedRun } from "../train/mod.ts";
import { interruptible } from "./interruptible.ts";
import { LiveLoss } from "./live_loss.ts";
import { Progress } from "./progress.ts";

/** A training of a published model that can be drawn. */
export interface LivePublishedRun extends PublishedRun {
  /** The loss of every step. */
  curves(): Figure;
  /**
   * Which experts the tokens of the first and of the last recorded batch chose, for
   * `plot.activationProportions()`.
   *
   * @throws {RangeError} if no step was recorded: see `recordEvery`.
   */
  routing(): RoutingSummary[];
}

/**
 * Trains a published model and shows how it goes: progress with the time left, a live loss curve, and a
 * Stop button that keeps what was learned.
 *
 * @param model the model, or a loaded checkpoint; it changes in place
 *
 * @example
 * ```ts ignore
 * import { exampleBatches, trainPublished } from "@moiie/lab";
 * const run = await trainPublished(model, { steps: 50, batches: exampleBatches(model) });
 * ```
 */
export async function trainPublished(
  model: PublishedLvlm | AnyPublished,
  options: Omit<FitPublishedOptions, "signal">,
): Promise<LivePublishedRun> {
  using stop = interruptible();
  const title = "Training loss";
  const progress = new Progress({ label: "training", total: options.steps });
  const live = new LiveLoss({ title });
  const run = await fitPublished(model, {
    ...options,
    signal: stop.signal,
    onStep: async (record) => {
      const { step, loss, learningRate } = record;
      progress.update(step + 1, { loss });
      live.add({ step, loss, learningRate });
      await options.onStep?.(record);
    },
  });
  await progress.done(run.complete ? "done" : "stopped; what was learned is kept");
  await live.done();
  return {
    ...run,
    curves: () =>
      lossCurve(
        run.records.map(({ step, loss, learningRate }) => ({ step, loss, learningRate })),
        { title },
      ),
    routing: () => {
      const recorded = run.records.flatMap(({ step, routing }) =>
        routing ? [{ step, routing }] : []
      );
      if (recorded.length === 0) {
        throw new RangeError(
          "routing: no step was recorded; set recordEvery, of a model with experts",
        );
      }
      const ends = recorded.length > 1 ? [recorded[0], recorded.at(-1)!] : recorded;
      return ends.map(({ step, routing }) => {
        const summary = summaryOf({ ...routing, benchmark: `step ${step + 1}` });
        // A language model alone has no image tokens.
        const layers = summary.layers.map(({ layer, modalities }) => ({
          layer,
          modalities: modalities.filter(({ tokens }) => tokens > 0),
        }));
        return { ...summary, layers };
      });
    },
  };
}
