/**
 * A pool of buffers in size classes, with an account of what is held.
 *
 * @module
 */

import type { Holding } from "./account.ts";

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

/** What a buffer is for, and its size: buffers of equal class can stand in for each other. */
export interface BufferClass {
  /** WebGPU usage flags. */
  readonly usage: number;
  /** Bytes, a size class. */
  readonly size: number;
}

interface Held {
  readonly kind: BufferClass;
  label: string;
  owner: string;
  /** Not to be used again: its allocation failed, or the device may still write into it. */
  broken: boolean;
}

const keyOf = ({ usage, size }: BufferClass): string => `${usage}:${size}`;

/**
 * Buffers handed out, and free ones that wait for the next request of their class. Together they
 * never hold more than the most that was ever handed out, or `keep` bytes more than what is.
 */
export class BufferPool {
  /** Bytes handed out. */
  live = 0;
  /** The most bytes ever handed out at once. */
  peak = 0;
  /** Bytes waiting for reuse. */
  pooled = 0;
  readonly #held = new Map<GPUBuffer, Held>();
  readonly #owners = new Map<string, { bytes: number; buffers: number }>();
  readonly #free = new Map<string, GPUBuffer[]>();
  /** The free buffers, those that have waited longest first. */
  readonly #waiting = new Map<GPUBuffer, BufferClass>();
  readonly #keep: number;

  /** @param keep Bytes of free buffers that are kept in any case. */
  constructor(keep: number) {
    this.#keep = keep;
  }

  /** Number of buffers handed out. */
  get count(): number {
    return this.#held.size;
  }

  /** What every owner holds, most first. */
  owners(): Record<string, Holding> {
    const all = [...this.#owners].map(([name, holding]) => [name, { ...holding }] as const);
    return Object.fromEntries(all.sort(([, a], [, b]) => b.bytes - a.bytes));
  }

  /** The largest handed-out buffers, for error messages. */
  largest(count: number): { label: string; owner: string; bytes: number }[] {
    return [...this.#held.values()].filter(({ broken }) => !broken)
      .map(({ label, owner, kind }) => ({ label, owner, bytes: kind.size }))
      .sort((a, b) => b.bytes - a.bytes).slice(0, count);
  }

  /** Hands out a free buffer of exactly this class, or a new one. */
  acquire(kind: BufferClass, label: string, owner: string, create: () => GPUBuffer): GPUBuffer {
    const free = this.#free.get(keyOf(kind))?.pop();
    if (free) {
      this.#waiting.delete(free);
      this.pooled -= kind.size;
    }
    const buffer = free ?? create();
    this.#held.set(buffer, { kind, label, owner, broken: false });
    this.#book(owner, kind.size, 1);
    this.live += kind.size;
    this.peak = Math.max(this.peak, this.live);
    this.#bound();
    return buffer;
  }

  /** Takes a buffer back. Returns false when it was not handed out from here. */
  release(buffer: GPUBuffer): boolean {
    const held = this.#held.get(buffer);
    if (!held) return false;
    this.#held.delete(buffer);
    const { kind, owner, broken } = held;
    this.#book(owner, -kind.size, -1);
    this.live -= kind.size;
    if (broken) {
      buffer.destroy();
      return true;
    }
    const key = keyOf(kind), bucket = this.#free.get(key);
    if (bucket) bucket.push(buffer);
    else this.#free.set(key, [buffer]);
    this.#waiting.set(buffer, kind);
    this.pooled += kind.size;
    this.#bound();
    return true;
  }

  /** Moves a buffer into another owner's account. Returns false when it was not handed out here. */
  assign(buffer: GPUBuffer, owner: string, label: string | undefined): boolean {
    const held = this.#held.get(buffer);
    if (!held) return false;
    this.#book(held.owner, -held.kind.size, -1);
    this.#book(owner, held.kind.size, 1);
    held.owner = owner;
    held.label = label ?? held.label;
    return true;
  }

  /** Sees to it that a handed-out buffer is destroyed, not kept, when it comes back. */
  condemn(buffer: GPUBuffer): void {
    const held = this.#held.get(buffer);
    if (held) held.broken = true;
  }

  /** Destroys all free buffers. */
  trim(): void {
    for (const buffer of this.#waiting.keys()) buffer.destroy();
    this.#waiting.clear();
    this.#free.clear();
    this.pooled = 0;
  }

  /** Destroys every buffer, handed out or not. */
  destroy(): void {
    this.trim();
    for (const buffer of this.#held.keys()) buffer.destroy();
    this.#held.clear();
    this.#owners.clear();
    this.live = 0;
  }

  #book(owner: string, bytes: number, buffers: number): void {
    const now = this.#owners.get(owner) ?? { bytes: 0, buffers: 0 };
    const next = { bytes: now.bytes + bytes, buffers: now.buffers + buffers };
    if (next.buffers === 0) this.#owners.delete(owner);
    else this.#owners.set(owner, next);
  }

  /** Destroys free buffers that are too many, those first that nobody has wanted for longest. */
  #bound(): void {
    const most = Math.max(this.#keep, this.peak - this.live);
    for (const [buffer, kind] of this.#waiting) {
      if (this.pooled <= most) return;
      this.#waiting.delete(buffer);
      // Buckets are in the order of waiting, too.
      this.#free.get(keyOf(kind))!.shift();
      buffer.destroy();
      this.pooled -= kind.size;
    }
  }
}
