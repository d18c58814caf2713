/**
 * A pool of buffers in size classes, with an account of what is held.
 *
 * @module
 */

const SMALLEST_CLASS = 256;

/**
 * The size that is allocated for a request: powers of two with three steps between them, so that at
 * most a fifth of a buffer is unused.
 *
 * @param bytes The request.
 * @param limit The largest buffer possible; a class never exceeds it.
 */
export function sizeClass(bytes: number, limit: number): number {
  if (bytes <= SMALLEST_CLASS) return SMALLEST_CLASS;
  const step = 2 ** Math.floor(Math.log2(bytes - 1)) / 4;
  const size = Math.ceil(bytes / step) * step;
  return size <= limit ? size : Math.ceil(bytes / 4) * 4;
}

/** Buffers of one usage. Free ones wait here for the next request of their size class. */
export class BufferPool {
  /** Bytes handed out. */
  live = 0;
  /** The most bytes ever handed out at once. */
  peak = 0;
  /** Bytes waiting for reuse. */
  pooled = 0;
  readonly #held = new Map<GPUBuffer, string>();
  readonly #free = new Map<number, GPUBuffer[]>();
  readonly #keep: number;

  /** @param keep Free buffers beyond this many bytes (and beyond what is live) are destroyed. */
  constructor(keep: number) {
    this.#keep = keep;
  }

  /** Number of buffers handed out. */
  get count(): number {
    return this.#held.size;
  }

  /** The largest handed-out buffers, for error messages. */
  largest(count: number): { label: string; bytes: number }[] {
    return [...this.#held].map(([buffer, label]) => ({ label, bytes: buffer.size }))
      .sort((a, b) => b.bytes - a.bytes).slice(0, count);
  }

  /** Hands out a free buffer of exactly this class, or a new one. */
  acquire(size: number, label: string, create: () => GPUBuffer): GPUBuffer {
    const free = this.#free.get(size)?.pop();
    const buffer = free ?? create();
    if (free) this.pooled -= size;
    this.#held.set(buffer, label);
    this.live += size;
    this.peak = Math.max(this.peak, this.live);
    return buffer;
  }

  /** Takes a buffer back. Returns false when it was not handed out from here. */
  release(buffer: GPUBuffer): boolean {
    if (!this.#held.delete(buffer)) return false;
    const { size } = buffer;
    this.live -= size;
    if (this.pooled + size > Math.max(this.#keep, this.live)) {
      buffer.destroy();
      return true;
    }
    const bucket = this.#free.get(size);
    if (bucket) bucket.push(buffer);
    else this.#free.set(size, [buffer]);
    this.pooled += size;
    return true;
  }

  /** Whether the buffer is handed out from here. */
  holds(buffer: GPUBuffer): boolean {
    return this.#held.has(buffer);
  }

  /** Destroys all free buffers. */
  trim(): void {
    for (const bucket of this.#free.values()) for (const buffer of bucket) buffer.destroy();
    this.#free.clear();
    this.pooled = 0;
  }

  /** Destroys every buffer, handed out or not. */
  destroy(): void {
    this.trim();
    for (const buffer of this.#held.keys()) buffer.destroy();
    this.#held.clear();
    this.live = 0;
  }
}
