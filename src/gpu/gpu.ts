/**
 * The device: memory, transfers, pipelines, submission, errors.
 *
 * @module
 */

import type { GpuCounters, GpuMemory } from "./account.ts";
import type { AdapterFacts } from "./adapter.ts";
import { BUFFER_USAGE, MAP_READ } from "./constants.ts";
import { formatBytes, outOfMemory } from "./errors.ts";
import type { BufferRange, Copy, Kernel, Launch } from "./kernel.ts";
import { LateErrors } from "./late_errors.ts";
import { paced } from "./pace.ts";
import { PipelineCache } from "./pipelines.ts";
import { BufferPool, sizeClass } from "./pool.ts";
import { type KernelTime, Profile } from "./profile.ts";
import type { ProviderName } from "./provider.ts";
import { checkBindings, checkWrite, planRead } from "./ranges.ts";

const STORAGE = BUFFER_USAGE.storage | BUFFER_USAGE.uniform | BUFFER_USAGE.copySrc |
  BUFFER_USAGE.copyDst;
const STAGING = BUFFER_USAGE.mapRead | BUFFER_USAGE.copyDst;
/** Free buffers are kept up to this size, or up to what is in use, whichever is more. */
const KEEP_BYTES = 256 * 2 ** 20;
const KEEP_STAGING_BYTES = 64 * 2 ** 20;
/** How long a failed wait may wait for the report that the device was lost, ms. */
const LOSS_REPORT_MS = 50;

/** An open GPU. Make one with `openGpu`. */
export class Gpu implements Disposable {
  /** The WebGPU device. */
  readonly device: GPUDevice;
  /** Where it comes from. */
  readonly provider: ProviderName | "given";
  /** What it is and can do. */
  readonly adapter: AdapterFacts;
  /** Settles when the device is lost or disposed; every later call then throws. */
  readonly lost: Promise<GPUDeviceLostInfo>;

  readonly #owned: boolean;
  readonly #buffers = new BufferPool(KEEP_BYTES);
  readonly #staging = new BufferPool(KEEP_STAGING_BYTES);
  readonly #pipelines: PipelineCache;
  readonly #counts = { buffers: 0, bindGroups: 0, submits: 0, dispatches: 0 };
  readonly #late = new LateErrors();
  #closed: string | undefined;

  /** Use `openGpu`. */
  constructor(
    device: GPUDevice,
    provider: ProviderName | "given",
    adapter: AdapterFacts,
    owned: boolean,
  ) {
    this.device = device;
    this.provider = provider;
    this.adapter = adapter;
    this.#owned = owned;
    this.#pipelines = new PipelineCache(device, this.#late.expect);
    device.addEventListener("uncapturederror", this.#late.collect as EventListener);
    this.lost = device.lost.then((info) => {
      this.#closed ??= `The GPU device was lost (${info.reason ?? "unknown"}: ${info.message}). ` +
        "Open a new one with openGpu() and restore the last checkpoint.";
      return info;
    });
  }

  /** What was ever created or done. */
  get counters(): GpuCounters {
    return { ...this.#counts, pipelines: this.#pipelines.created };
  }

  /** The device memory that is held, in bytes. */
  memory(): GpuMemory {
    const { live, peak, pooled, count } = this.#buffers;
    return { live, peak, pooled: pooled + this.#staging.pooled, buffers: count };
  }

  /**
   * A storage buffer of at least `bytes` bytes, from the pool when one fits. Its contents are
   * undefined. Running out of memory surfaces at the next `read`, `idle` or `check`.
   *
   * @param bytes Size wanted.
   * @param label Shown in errors.
   * @throws RangeError when the device cannot have a buffer of that size.
   */
  acquire(bytes: number, label: string = "buffer"): GPUBuffer {
    this.#alive();
    const { maxBufferSize } = this.adapter.limits;
    if (!(bytes >= 0 && bytes <= maxBufferSize)) {
      throw new RangeError(
        `Cannot allocate ${bytes} bytes (${formatBytes(bytes)}) for "${label}": a buffer on ` +
          `${this.adapter.name} holds at most ${maxBufferSize} bytes ` +
          `(${formatBytes(maxBufferSize)}). Use a smaller batch or model, or split the tensor.`,
      );
    }
    const size = sizeClass(bytes, maxBufferSize);
    return this.#buffers.acquire(size, label, () => this.#create(size, STORAGE, label));
  }

  /**
   * Gives a buffer back to the pool. Work that was submitted with it still completes.
   *
   * @throws Error when the buffer is not an acquired one (released twice, say).
   */
  release(buffer: GPUBuffer): void {
    if (this.#closed !== undefined) return;
    if (!this.#buffers.release(buffer)) {
      throw new Error(
        `Buffer "${buffer.label}" (${buffer.size} bytes) is not held by this Gpu: it was released ` +
          "before, or it comes from elsewhere. Release every acquired buffer exactly once.",
      );
    }
  }

  /** Destroys the free buffers that are kept for reuse. */
  trim(): void {
    this.#buffers.trim();
    this.#staging.trim();
  }

  /**
   * Copies data to the device, in order with the submitted work. A length that is no multiple of 4
   * is padded with zeros.
   *
   * @param target A buffer or a part of one; its offset is a multiple of 4.
   * @param data Any typed array or DataView; its bytes are copied before the call returns.
   * @param offset Where to begin inside the target, in bytes, a multiple of 4.
   * @throws RangeError when the data does not fit or an offset is no multiple of 4.
   */
  write(target: BufferRange | GPUBuffer, data: ArrayBufferView, offset: number = 0): void {
    this.#alive();
    const range = "buffer" in target ? target : { buffer: target, offset: 0, size: target.size };
    checkWrite(range, offset, data.byteLength);
    const { buffer } = range;
    const start = range.offset + offset;
    const { queue } = this.device;
    const source = data.buffer as ArrayBuffer;
    const whole = data.byteLength - data.byteLength % 4;
    if (whole > 0) queue.writeBuffer(buffer, start, source, data.byteOffset, whole);
    if (whole < data.byteLength) {
      const rest = new Uint8Array(4);
      rest.set(new Uint8Array(source, data.byteOffset + whole, data.byteLength - whole));
      queue.writeBuffer(buffer, start + whole, rest);
    }
  }

  /**
   * Copies bytes back, after all work submitted so far. Several reads may be under way.
   *
   * @returns A fresh ArrayBuffer of `bytes` bytes.
   * @throws RangeError when the range is not inside the buffer; Error for any earlier GPU error.
   */
  async read(buffer: GPUBuffer, offset: number, bytes: number): Promise<ArrayBuffer> {
    return (await this.readMany([{ buffer, offset, size: bytes }]))[0];
  }

  /**
   * Copies several ranges back with one submit and one map.
   *
   * @throws RangeError when a range is not inside its buffer; Error for any earlier GPU error.
   */
  async readMany(ranges: readonly BufferRange[]): Promise<ArrayBuffer[]> {
    this.#alive();
    if (ranges.length === 0) return [];
    const limit = this.adapter.limits.maxBufferSize;
    const { parts, total } = planRead(ranges, limit);
    const size = sizeClass(total, limit);
    const staging = this.#staging.acquire(
      size,
      "staging",
      () => this.#create(size, STAGING, "staging"),
    );
    try {
      const encoder = this.device.createCommandEncoder({ label: "read" });
      for (const { buffer, from, length, at } of parts) {
        if (length > 0) encoder.copyBufferToBuffer(buffer, from, staging, at, length);
      }
      this.#submit(encoder);
      const mapped = await this.#settle(async () => {
        await staging.mapAsync(MAP_READ, 0, Math.max(4, total));
        return staging.getMappedRange(0, Math.max(4, total));
      });
      return parts.map(({ begin, size }) => mapped.slice(begin, begin + size));
    } finally {
      // After a loss there is nothing to unmap, and wgpu would throw over the error under way.
      if (this.#closed === undefined && staging.mapState === "mapped") staging.unmap();
      this.#staging.release(staging);
    }
  }

  /**
   * The compiled pipeline of a kernel, cached by code, constants and bindings. A kernel that does not
   * compile surfaces at the next `read`, `idle` or `check`.
   */
  pipeline(kernel: Kernel): GPUComputePipeline {
    this.#alive();
    return this.#pipelines.get(kernel);
  }

  /**
   * Compiles kernels ahead of their use, several at a time.
   *
   * @throws Error with the kernel's label, the compiler's message and the source lines around it.
   */
  async prepare(kernels: readonly Kernel[]): Promise<void> {
    this.#alive();
    await paced(() => this.#pipelines.prepare(kernels));
    this.#late.throwAny();
  }

  /**
   * Binds ranges to a kernel's bindings, in order.
   *
   * @throws RangeError when number, size, offset or place of a range is impossible.
   */
  bindGroup(kernel: Kernel, buffers: readonly BufferRange[]): GPUBindGroup {
    this.#alive();
    checkBindings(kernel, buffers, this.adapter.limits);
    this.#counts.bindGroups++;
    return this.device.createBindGroup({
      label: kernel.label,
      layout: this.#pipelines.groupLayout(kernel.bindings),
      entries: buffers.map((resource, binding) => ({ binding, resource })),
    });
  }

  /**
   * Submits launches, in order, in one compute pass, then the copies: one encoder, one submit.
   *
   * @param profile Times every dispatch (each then gets a pass of its own, which is slower).
   * @throws RangeError when a launch has more workgroups than the device allows.
   */
  submit(launches: readonly Launch[], copies: readonly Copy[] = [], profile?: Profile): void {
    this.#alive();
    const encoder = this.device.createCommandEncoder({ label: launches[0]?.kernel.label });
    const limit = this.adapter.limits.maxComputeWorkgroupsPerDimension;
    let pass = profile || launches.length === 0 ? undefined : encoder.beginComputePass();
    for (const { kernel, pipeline, group } of launches) {
      const [x, y, z] = kernel.workgroups;
      if (x > limit || y > limit || z > limit) {
        throw new RangeError(
          `Kernel "${kernel.label}" wants ${x} x ${y} x ${z} workgroups; ` +
            `${this.adapter.name} allows ${limit} along each axis.`,
        );
      }
      if (profile) pass = profile.beginPass(encoder, kernel.label);
      pass!.setPipeline(pipeline);
      pass!.setBindGroup(0, group);
      pass!.dispatchWorkgroups(x, y, z);
      if (profile) pass!.end();
    }
    if (!profile) pass?.end();
    for (const { from, to } of copies) {
      encoder.copyBufferToBuffer(from.buffer, from.offset, to.buffer, to.offset, from.size);
    }
    profile?.resolve(encoder);
    this.#late.lastSubmit = launches;
    this.#counts.dispatches += launches.length;
    this.#submit(encoder);
  }

  /**
   * A collector of dispatch times, for `submit`.
   *
   * @throws Error when the adapter has no timestamp queries.
   */
  profile(): Profile {
    this.#alive();
    if (!this.adapter.timestamps) {
      throw new Error(
        `Cannot time kernels: ${this.adapter.name} (${this.provider}) has no timestamp queries.`,
      );
    }
    return new Profile(this.device, (buffer, bytes) => this.read(buffer, 0, bytes));
  }

  /**
   * Runs launches and times each dispatch on the device.
   *
   * @throws Error when the adapter has no timestamp queries.
   */
  async profiled(launches: readonly Launch[]): Promise<KernelTime[]> {
    const profile = this.profile();
    this.submit(launches, [], profile);
    return await profile.times();
  }

  /**
   * Waits until all submitted work is done.
   *
   * @throws Error for any GPU error since the last wait.
   */
  async idle(): Promise<void> {
    this.#alive();
    await this.#settle(() => this.device.queue.onSubmittedWorkDone());
  }

  /**
   * Waits for the device's verdict on everything asked of it so far.
   *
   * @throws Error for any GPU error since the last wait.
   */
  async check(): Promise<void> {
    await this.idle();
  }

  /** Destroys all buffers and, unless the caller gave it, the device. */
  dispose(): void {
    this.#closed = "This Gpu was disposed; open another with openGpu().";
    this.device.removeEventListener("uncapturederror", this.#late.collect as EventListener);
    this.#buffers.destroy();
    this.#staging.destroy();
    if (this.#owned) this.device.destroy();
  }

  /** Same as `dispose`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  #alive(): void {
    if (this.#closed !== undefined) throw new Error(this.#closed);
  }

  #submit(encoder: GPUCommandEncoder): void {
    this.device.queue.submit([encoder.finish()]);
    this.#counts.submits++;
  }

  #create(size: number, usage: number, label: string): GPUBuffer {
    this.device.pushErrorScope("out-of-memory");
    const buffer = this.device.createBuffer({ size, usage, label });
    const scope = this.device.popErrorScope();
    this.#late.expect(scope.then((cause) => {
      if (!cause) return undefined;
      const where = this.adapter.name;
      const largest = this.#buffers.largest(5);
      const error = outOfMemory({ size, label, where, largest, held: this.memory(), cause });
      this.trim();
      return error;
    }));
    this.#counts.buffers++;
    return buffer;
  }

  /** Begins a wait, then throws what went wrong up to its end. */
  async #settle<T>(start: () => Promise<T>): Promise<T> {
    const outcome = await paced(async () => {
      const [result] = await Promise.allSettled([start(), ...this.#late.pending]);
      return result as PromiseSettledResult<T>;
    });
    // A lost device rejects every wait a moment before it reports the loss.
    if (outcome.status === "rejected") await Promise.race([this.lost, sleep(LOSS_REPORT_MS)]);
    this.#alive();
    this.#late.throwAny();
    if (outcome.status === "rejected") {
      throw new Error(`The GPU did not finish: ${outcome.reason}`, { cause: outcome.reason });
    }
    return outcome.value;
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
