/**
 * Checks and layouts of byte ranges: bindings, writes, reads.
 *
 * @module
 */

import type { GpuLimits } from "./adapter.ts";
import { formatBytes } from "./errors.ts";
import type { BufferRange, Kernel } from "./kernel.ts";

/**
 * Checks the ranges for a kernel's bindings.
 *
 * @throws RangeError when number, size, offset or place of a range is impossible.
 */
export function checkBindings(
  kernel: Kernel,
  ranges: readonly BufferRange[],
  limits: GpuLimits,
): void {
  const { bindings, label } = kernel;
  if (ranges.length !== bindings.length) {
    throw new RangeError(
      `Kernel "${label}" has ${bindings.length} bindings (${bindings.join(", ")}); ` +
        `${ranges.length} buffers were given.`,
    );
  }
  ranges.forEach(({ buffer, offset, size }, i) => {
    const uniform = bindings[i] === "uniform";
    const most = uniform ? limits.maxUniformBufferBindingSize : limits.maxStorageBufferBindingSize;
    const step = uniform
      ? limits.minUniformBufferOffsetAlignment
      : limits.minStorageBufferOffsetAlignment;
    const fits = offset >= 0 && size > 0 && offset + size <= buffer.size;
    if (fits && size <= most && offset % step === 0 && (uniform || size % 4 === 0)) return;
    throw new RangeError(
      `Kernel "${label}", binding ${i} (${bindings[i]}): cannot bind ${size} bytes at offset ` +
        `${offset} of "${buffer.label}" (${buffer.size} bytes). A range must lie inside its ` +
        `buffer, begin at a multiple of ${step}, and have a multiple of 4 and at most ${most} ` +
        `bytes (${formatBytes(most)}).`,
    );
  });
}

/**
 * Checks that `bytes` bytes can be written `offset` bytes into a range.
 *
 * @throws RangeError when they do not fit or do not begin at a multiple of 4.
 */
export function checkWrite(range: BufferRange, offset: number, bytes: number): void {
  const { buffer, size } = range;
  const start = range.offset + offset;
  const fits = offset >= 0 && offset + bytes <= size && start + bytes <= buffer.size;
  if (fits && start % 4 === 0) return;
  throw new RangeError(
    `Cannot write ${bytes} bytes at offset ${offset} of a range of ${size} bytes that begins at ` +
      `${range.offset} of "${buffer.label}" (${buffer.size} bytes): the data must fit and start ` +
      "at a multiple of 4.",
  );
}

/** One copy into a staging buffer, and the part of it that was asked for. */
export interface ReadPart {
  /** The buffer to copy from. */
  readonly buffer: GPUBuffer;
  /** First byte to copy, a multiple of 4. */
  readonly from: number;
  /** Bytes to copy, a multiple of 4. */
  readonly length: number;
  /** Where the copy goes in the staging buffer. */
  readonly at: number;
  /** First byte asked for, in the staging buffer. */
  readonly begin: number;
  /** Bytes asked for. */
  readonly size: number;
}

/**
 * Lays ranges out in one staging buffer. Copies move multiples of 4 bytes from multiples of 4; the
 * odd ends are cut off afterwards.
 *
 * @throws RangeError when a range is not inside its buffer, or all together exceed `limit` bytes.
 */
export function planRead(
  ranges: readonly BufferRange[],
  limit: number,
): { parts: ReadPart[]; total: number } {
  let total = 0;
  const parts = ranges.map(({ buffer, offset, size }) => {
    if (!(offset >= 0 && size >= 0 && offset + size <= buffer.size)) {
      throw new RangeError(
        `Cannot read ${size} bytes at ${offset} of "${buffer.label}" (${buffer.size} bytes).`,
      );
    }
    const from = offset - offset % 4;
    const length = Math.ceil((offset + size) / 4) * 4 - from;
    const at = total;
    total += length;
    return { buffer, from, length, at, begin: at + offset - from, size };
  });
  if (total > limit) {
    throw new RangeError(
      `Cannot read ${total} bytes at once: the device's limit is ${limit}. Read in parts.`,
    );
  }
  return { parts, total };
}
