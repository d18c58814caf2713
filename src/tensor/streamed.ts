/** Leaves whose values arrive piece by piece and go straight to the device. */
import type { HostData } from "./dtype.ts";
import { bytesPerElement, hostArray } from "./dtype.ts";
import type { Tensor } from "./graph.ts";
import { bytesOf } from "./plan.ts";
import { currentSession } from "./session.ts";
import { GpuStorage } from "./webgpu/execute.ts";

/**
 * Takes device memory for leaves without values (see `placeholder()`), all at once, so that too
 * little of it shows before any value is read from anywhere. Their values are undefined until
 * {@linkcode writePart} has set them.
 *
 * @throws {RangeError} if a tensor is larger than the device can bind. @throws {Error} if the device
 * has not that much memory; nothing is taken then. @throws {TypeError} if one has values already.
 */
export async function takeMemory(tensors: readonly Tensor[]): Promise<void> {
  for (const t of tensors) {
    if (t.node.op !== "leaf" || t.storage || t.host) {
      throw new TypeError(`takeMemory: ${t} is no leaf without values`);
    }
  }
  const { gpu } = currentSession();
  const buffers = await gpu.acquireAll(tensors.map((t) => ({
    bytes: bytesOf(t),
    label: t.name ?? String(t),
    owner: t.owner ?? "tensor",
  })));
  tensors.forEach((t, i) => {
    t.storage = new GpuStorage(gpu, { buffer: buffers[i], offset: 0, size: bytesOf(t) }, true);
  });
}

/**
 * Sets a part of a leaf's values on the device; they are copied before the call returns.
 *
 * @param from number of the first element; of f16 an even one
 * @throws {RangeError} if the part does not lie in the tensor. @throws {TypeError} if the values are
 * of another type, or the tensor has no memory.
 */
export function writePart(t: Tensor, from: number, values: HostData): void {
  if (!t.storage) throw new TypeError(`writePart: ${t} has no device memory; see takeMemory()`);
  if (values.constructor !== hostArray(t.dtype, 0).constructor) {
    throw new TypeError(`writePart: ${t} is given a ${values.constructor.name}`);
  }
  if (!(Number.isSafeInteger(from) && from >= 0 && from + values.length <= t.size)) {
    throw new RangeError(
      `writePart: elements ${from} to ${from + values.length} are not all in ${t} of ${t.size}`,
    );
  }
  const { range } = t.storage as GpuStorage;
  currentSession().gpu.write(range, values, from * bytesPerElement(t.dtype));
}
