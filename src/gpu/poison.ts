/**
 * Making reads of what nobody wrote visible: memory is filled with 0xFF bytes, which are NaN as f32,
 * -1 as i32, and no sensible index.
 *
 * @module
 */

import { BUFFER_USAGE } from "./constants.ts";
import type { BufferRange, Kernel } from "./kernel.ts";

const CHUNK = new Uint8Array(2 ** 20).fill(0xff);

/** The bindings whose arrays the kernel assigns to and never reads, as far as its text shows. */
export function writtenOnly({ code, bindings }: Kernel): number[] {
  return bindings.flatMap((kind, i) => {
    if (kind !== "write") return [];
    const declared = new RegExp(`@binding\\(${i}\\)\\s*var<storage,\\s*read_write>\\s*(\\w+)`);
    const name = declared.exec(code)?.[1];
    if (name === undefined) return [];
    const text = code.replaceAll(new RegExp(`arrayLength\\(&${name}\\)`, "g"), "");
    const uses = text.split(new RegExp(`\\b${name}\\b`)).slice(1);
    // The declaration, and then nothing but assignments to elements.
    const assigned = uses.filter(isAssignment).length;
    return assigned > 0 && assigned === uses.length - 1 ? [i] : [];
  });
}

/** Whether the text goes on with an index and an assignment to that element. */
function isAssignment(rest: string): boolean {
  if (!rest.startsWith("[")) return false;
  let depth = 0;
  for (let at = 0; at < rest.length; at++) {
    if (rest[at] === "[") depth++;
    if (rest[at] === "]" && --depth === 0) return /^\s*=[^=]/.test(rest.slice(at + 1, at + 40));
  }
  return false;
}

/** Fills memory of one device. */
export class Poison {
  readonly #device: GPUDevice;
  /** What the kernel of a bind group only writes. */
  readonly #outputs = new WeakMap<GPUBindGroup, BufferRange[]>();

  /** @param device The device whose buffers are filled. */
  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** Fills a whole buffer, in order with the submitted work. */
  fill(buffer: GPUBuffer): void {
    this.#fill({ buffer, offset: 0, size: buffer.size });
  }

  /** Notes what a kernel is bound to. */
  bound(group: GPUBindGroup, kernel: Kernel, ranges: readonly BufferRange[]): void {
    // A buffer that was not acquired from the Gpu may not be writable from outside.
    const outputs = writtenOnly(kernel).map((i) => ranges[i])
      .filter(({ buffer }) => buffer.usage & BUFFER_USAGE.copyDst);
    this.#outputs.set(group, outputs);
  }

  /** Fills what the kernel of a bind group is about to write. */
  before(group: GPUBindGroup): void {
    for (const range of this.#outputs.get(group) ?? []) this.#fill(range);
  }

  #fill({ buffer, offset, size }: BufferRange): void {
    for (let at = 0; at < size; at += CHUNK.length) {
      const bytes = Math.min(CHUNK.length, size - at);
      this.#device.queue.writeBuffer(buffer, offset + at, CHUNK, 0, bytes);
    }
  }
}
