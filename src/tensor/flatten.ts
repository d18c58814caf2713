/** Many tensors in one piece of device memory, for optimizers. */
import { placeholder, type Tensor } from "./graph.ts";
import { packedOffsets } from "./pack.ts";
import { currentSession } from "./session.ts";
import { allocate, GpuStorage, upload } from "./webgpu/execute.ts";

/**
 * Moves tensors into one flat tensor in device memory, each at a multiple of 256 bytes, so that an
 * optimizer can update all of them in one kernel. The tensors stay as they are for their users.
 *
 * @returns the flat tensor, zero between the parts, and the first element of each part
 */
export function flattenInPlace(tensors: readonly Tensor[]): { flat: Tensor; offsets: number[] } {
  const { gpu } = currentSession();
  const { offsets, size } = packedOffsets(tensors.map((t) => t.size));
  const flat = placeholder([size], "f32", "parameters");
  const storage = allocate(gpu, size * 4, "parameters", "parameters");
  gpu.write(storage.range, new Float32Array(size));
  flat.storage = storage;
  const copies = tensors.map((t, i) => {
    if (t.dtype !== "f32" || t.node.op !== "leaf") {
      throw new TypeError(`flattenInPlace: ${t} must be an f32 leaf`);
    }
    const range = { buffer: storage.range.buffer, offset: offsets[i] * 4, size: t.size * 4 };
    return { from: { ...upload(gpu, t).range, size: t.size * 4 }, to: range };
  });
  gpu.submit([], copies);
  tensors.forEach((t, i) => {
    t.storage!.release();
    t.storage = new GpuStorage(gpu, copies[i].to, false, storage);
  });
  return { flat, offsets };
}
