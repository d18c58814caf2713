/**
 * A training that hangs in its second stage, behind a checkpoint, for the test that kills it: prints
 * "hanging" there. Argument: path of the checkpoint.
 */
import "../nn/shared.ts";
import { fit } from "../../src/train/mod.ts";
import { shortRecipe, smallest } from "./shared.ts";

const recipe = shortRecipe();
await fit(smallest(), recipe, {
  checkpoint: Deno.args[0],
  saveEvery: 2,
  onStep: async ({ record, stage }) => {
    if (stage !== recipe.stages[1] || record.step < 2) return;
    console.log("hanging");
    await new Promise((resolve) => setTimeout(resolve, 60_000));
  },
});
