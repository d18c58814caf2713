/** Computing with the kernels for a device of another kind than that of the tests. */
import type { Tensor } from "../../src/tensor/mod.ts";
import { hostArray, type HostData } from "../../src/tensor/dtype.ts";
import { plan } from "../../src/tensor/plan.ts";
import type { Target } from "../../src/tensor/webgpu/bindings.ts";
import { Executable, targetOf, upload } from "../../src/tensor/webgpu/execute.ts";
import { session } from "./harness.ts";

/** Values of tensors, computed with the kernels for the session's device with something changed. */
export async function computedFor(
  change: Partial<Target>,
  roots: readonly Tensor[],
): Promise<HostData[]> {
  const { gpu } = session();
  const executable = await Executable.create(gpu, plan(roots), { ...targetOf(gpu), ...change });
  const program = await executable.bind((leaf) => upload(gpu, leaf));
  program.run();
  const values = await Promise.all(roots.map(async ({ dtype, size }, i) => {
    const { buffer, offset } = program.results[i].range;
    const bytes = size * (dtype === "f16" ? 2 : 4);
    const read = await gpu.read(buffer, offset, Math.ceil(bytes / 4) * 4);
    return hostArray(dtype, read.slice(0, bytes));
  }));
  program.release();
  return values;
}
