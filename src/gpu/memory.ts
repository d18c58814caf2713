/**
 * A device's buffers: allocation, its failures, the pool.
 *
 * @module
 */

import type { BufferRequest, GpuMemory } from "./account.ts";
import type { AdapterFacts } from "./adapter.ts";
import { BUFFER_USAGE } from "./constants.ts";
import { outOfMemory, tooLarge } from "./errors.ts";
import type { LateErrors } from "./late_errors.ts";
import { type BufferClass, BufferPool, sizeClass } from "./pool.ts";

const STORAGE = BUFFER_USAGE.storage | BUFFER_USAGE.uniform | BUFFER_USAGE.copySrc |
  BUFFER_USAGE.copyDst;
const STAGING = BUFFER_USAGE.mapRead | BUFFER_USAGE.copyDst;
/** Free buffers are kept up to this size in any case. */
const KEEP_BYTES = 256 * 2 ** 20;
/** Holders named in the error when memory runs out. */
const HOLDERS_SHOWN = 5;

/** The device's word on a new buffer: why it has none, or null when all is well. */
type Verdict = Promise<GPUError | null>;

/** The buffers of one device. */
export class DeviceMemory {
  /** Buffers ever created. */
  created = 0;
  readonly #device: GPUDevice;
  readonly #adapter: AdapterFacts;
  readonly #late: LateErrors;
  readonly #pool = new BufferPool(KEEP_BYTES);

  /** @param late Receives failures of allocations that nobody waits for. */
  constructor(device: GPUDevice, adapter: AdapterFacts, late: LateErrors) {
    this.#device = device;
    this.#adapter = adapter;
    this.#late = late;
  }

  /** What is held. */
  report(): GpuMemory {
    const { live, peak, pooled, count } = this.#pool;
    return { live, peak, pooled, buffers: count, owners: this.#pool.owners() };
  }

  /** A storage buffer, at once; that there is no memory for it is told at the next wait. */
  acquire({ bytes, label, owner = "other" }: BufferRequest): GPUBuffer {
    const kind = this.#storage(bytes, label);
    return this.#pool.acquire(kind, label, owner, () => this.#createUnseen(kind, label));
  }

  /**
   * Storage buffers, with the device's word that it has the memory. When it has not, the free buffers
   * are destroyed to make room and the allocation is tried once more.
   *
   * @param wait Waits for the device's word; not called when the pool has all the buffers.
   */
  async acquireAll(
    requests: readonly BufferRequest[],
    wait: <T>(start: () => Promise<T>) => Promise<T>,
  ): Promise<GPUBuffer[]> {
    const kinds = requests.map(({ bytes, label }) => this.#storage(bytes, label));
    const buffers: GPUBuffer[] = [];
    const take = (i: number): Verdict | undefined => {
      const { label, owner = "other" } = requests[i];
      let verdict: Verdict | undefined;
      buffers[i] = this.#pool.acquire(kinds[i], label, owner, () => {
        const made = this.#create(kinds[i], label);
        verdict = made.verdict;
        return made.buffer;
      });
      return verdict;
    };
    try {
      let todo = requests.map((_, i) => i);
      for (let attempt = 0; todo.length > 0; attempt++) {
        const verdicts = todo.map(take);
        if (!verdicts.some(Boolean)) break;
        const causes = await wait(() => Promise.all(verdicts));
        const failed = todo.filter((_, i) => causes[i]);
        for (const i of failed) this.#pool.condemn(buffers[i]);
        if (failed.length > 0 && attempt > 0) {
          const i = failed[0];
          throw this.#exhausted(kinds[i].size, requests[i].label, causes.find(Boolean));
        }
        for (const i of failed) this.release(buffers[i]);
        if (failed.length > 0) {
          this.trim();
          await wait(() => this.#device.queue.onSubmittedWorkDone());
        }
        todo = failed;
      }
      return buffers;
    } catch (error) {
      for (const buffer of buffers) this.release(buffer);
      throw error;
    }
  }

  /** A buffer to read back through. */
  staging(bytes: number): GPUBuffer {
    const size = sizeClass(bytes, this.#adapter.limits.maxBufferSize);
    const kind = { usage: STAGING, size };
    const create = () => this.#createUnseen(kind, "staging");
    return this.#pool.acquire(kind, "staging", "staging", create);
  }

  /** Takes a buffer back. Returns false when it was not handed out from here. */
  release(buffer: GPUBuffer): boolean {
    return this.#pool.release(buffer);
  }

  /** Destroys a handed-out buffer, for it cannot be used again. */
  discard(buffer: GPUBuffer): void {
    this.#pool.condemn(buffer);
    this.#pool.release(buffer);
  }

  /** Moves a buffer into another owner's account. Returns false when it was not handed out here. */
  assign(buffer: GPUBuffer, owner: string, label: string | undefined): boolean {
    return this.#pool.assign(buffer, owner, label);
  }

  /** Destroys the free buffers; the system has their memory back after the next wait. */
  trim(): void {
    if (this.#pool.pooled === 0) return;
    this.#pool.trim();
    // Dawn lets go of a destroyed buffer's memory when commands that came later are done.
    this.#device.queue.submit([this.#device.createCommandEncoder().finish()]);
  }

  /** Destroys every buffer. */
  destroy(): void {
    this.#pool.destroy();
  }

  /** The class of a storage buffer. @throws RangeError when the device cannot have or bind it. */
  #storage(bytes: number, label: string): BufferClass {
    const { maxBufferSize, maxStorageBufferBindingSize } = this.#adapter.limits;
    const limit = Math.min(maxBufferSize, maxStorageBufferBindingSize);
    if (!(bytes >= 0 && bytes <= limit)) throw tooLarge(bytes, label, this.#adapter);
    return { usage: STORAGE, size: sizeClass(bytes, limit) };
  }

  #create(
    { size, usage }: BufferClass,
    label: string,
  ): { buffer: GPUBuffer; verdict: Verdict } {
    this.#device.pushErrorScope("out-of-memory");
    const buffer = this.#device.createBuffer({ size, usage, label });
    // Error scopes reject only when the device is lost, which has its own message.
    const verdict = this.#device.popErrorScope().catch(() => null);
    this.created++;
    return { buffer, verdict };
  }

  /** Creates a buffer whose failure is told at the next wait. */
  #createUnseen(kind: BufferClass, label: string): GPUBuffer {
    const { buffer, verdict } = this.#create(kind, label);
    this.#late.expect(verdict.then((cause) => {
      if (!cause) return undefined;
      this.#pool.condemn(buffer);
      const error = this.#exhausted(kind.size, label, cause);
      this.trim(); // The next try has this much more room.
      return error;
    }));
    return buffer;
  }

  #exhausted(size: number, label: string, cause: unknown): Error {
    const where = this.#adapter.name;
    const largest = this.#pool.largest(HOLDERS_SHOWN);
    return outOfMemory({ size, label, where, largest, held: this.report(), cause });
  }
}
