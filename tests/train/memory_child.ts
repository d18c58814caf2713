/**
 * Prints what is held, garbage collected. First device bytes before 50 tensors are computed, with
 * them, and after they were dropped without dispose(); then, of a training of 200 steps, device bytes
 * and buffers and bytes of the JavaScript heap after steps 50 and 200. Needs
 * `--v8-flags=--expose-gc`.
 */
import { add, evaluate, tensor } from "../../src/tensor/mod.ts";
import { session } from "../nn/shared.ts";
import { fit } from "../../src/train/mod.ts";
import { shortRecipe, smallest } from "./shared.ts";

const { gc } = globalThis as unknown as { gc: () => void };
const { gpu } = session;

/** Finalizers run some time after the collection, and free more for the next one. */
async function collect(): Promise<void> {
  for (let i = 0; i < 3; i++) {
    gc();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const before = gpu.memory().live;
let dropped = Array.from({ length: 50 }, (_, i) => add(tensor(new Float32Array(1000)), i));
await evaluate(...dropped);
const held = gpu.memory().live;
dropped = [];
await collect();
console.log(JSON.stringify([before, held, gpu.memory().live]));

await fit(smallest(), shortRecipe({ connectorSteps: 0, instructionSteps: 200 }), {
  onStep: async ({ done }) => {
    if (done !== 50 && done !== 200) return;
    await collect();
    const { live, owners } = gpu.memory();
    const { buffers, bindGroups, pipelines } = gpu.counters;
    const heap = Deno.memoryUsage().heapUsed;
    console.log(JSON.stringify({ done, live, owners, buffers, bindGroups, pipelines, heap }));
  },
});
