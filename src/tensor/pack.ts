/** Flat packing of many tensors, for optimizers. */
import { makeTensor, type Tensor } from "./graph.ts";

/** Elements to which packed parts are aligned: 256 bytes, what a WebGPU binding offset needs. */
const STEP = 64;

/** First element of each packed part, and the length of the whole. */
export function packedOffsets(
  sizes: readonly number[],
): { offsets: number[]; size: number } {
  let size = 0;
  const offsets = sizes.map((n) => {
    const at = size;
    size += Math.ceil(n / STEP) * STEP;
    return at;
  });
  return { offsets, size };
}

/**
 * All tensors in one flat tensor, in the layout of {@linkcode packedOffsets}, zero in between. The
 * parts are computed where they will lie, so packing costs nothing.
 */
export function pack(parts: readonly Tensor[]): Tensor {
  for (const t of parts) {
    if (t.dtype !== "f32") throw new TypeError(`pack: ${t} must be f32`);
  }
  const { offsets, size } = packedOffsets(parts.map((t) => t.size));
  const own = parts.map((t) => makeTensor("identity", [t], {}, t.shape, "f32"));
  return makeTensor("pack", own, { offsets }, [size], "f32");
}
