/**
 * The device: memory, transfers, pipelines, submission, errors.
 *
 * @module
 */

import { type AdapterFacts, adapterFacts, deviceRequest } from "./adapter.ts";
import { BUFFER_USAGE, MAP_READ } from "./constants.ts";
import { formatBytes } from "./errors.ts";
import type { BufferRange, Copy, Kernel, Launch } from "./kernel.ts";
import { paced } from "./pace.ts";
import { PipelineCache } from "./pipelines.ts";
import { BufferPool, sizeClass } from "./pool.ts";
import { type KernelTime, Profile } from "./profile.ts";
import { type AdapterQuery, findAdapter, type ProviderName } from "./provider.ts";

const STORAGE = BUFFER_USAGE.storage | BUFFER_USAGE.copySrc | BUFFER_USAGE.copyDst;
const STAGING = BUFFER_USAGE.mapRead | BUFFER_USAGE.copyDst;
/** Free buffers are kept up to this size, or up to what is in use, whichever is more. */
const KEEP_BYTES = 256 * 2 ** 20;
const KEEP_STAGING_BYTES = 64 * 2 ** 20;

/** How to open the GPU. */
export interface GpuOptions extends AdapterQuery {
  /** Use this device, which stays the caller's: `dispose` does not destroy it. */
  readonly device?: GPUDevice;
}

/** What was ever created or done, to show that a replayed plan creates nothing. */
export interface GpuCounters {
  /** Buffers created (a pooled buffer that is used again does not count). */
  readonly buffers: number;
  /** Bind groups created. */
  readonly bindGroups: number;
  /** Pipelines compiled. */
  readonly pipelines: number;
  /** Command buffers submitted. */
  readonly submits: number;
  /** Kernels dispatched. */
  readonly dispatches: number;
}

/** The device memory that is held, in bytes. */
export interface GpuMemory {
  /** Bytes in acquired buffers. */
  readonly live: number;
  /** The most there ever were. */
  readonly peak: number;
  /** Bytes of free buffers kept for reuse. */
  readonly pooled: number;
  /** Number of acquired buffers. */
  readonly buffers: number;
}

/**
 * Opens the GPU: Dawn's best adapter, else the runtime's own (Deno's `navigator.gpu`, a browser's).
 *
 * @throws Error when there is no adapter; the message says what each provider answered and the
 * remedy.
 */
export async function openGpu(options: GpuOptions = {}): Promise<Gpu> {
  const { device } = options;
  if (device) {
    const facts = adapterFacts(device, device.adapterInfo);
    return new Gpu(device, "given", facts, false);
  }
  const { provider, adapter } = await findAdapter(options);
  const opened = await paced(() => adapter.requestDevice(deviceRequest(adapter)));
  return new Gpu(opened, provider, adapterFacts(opened, adapter.info), true);
}

/** An open GPU. Make one with {@link openGpu}. */
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
  readonly #onError = (event: GPUUncapturedErrorEvent): void => this.#collect(event);
  /** Checks under way whose outcome the next wait must include. */
  readonly #pending = new Set<Promise<void>>();
  #errors: Error[] = [];
  #lastSubmit: readonly Launch[] = [];
  #closed: string | undefined;

  /** Use {@link openGpu}. */
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
    this.#pipelines = new PipelineCache(device, (error) => this.#expect(error));
    device.addEventListener("uncapturederror", this.#onError as EventListener);
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
    const { buffer } = range;
    const start = range.offset + offset;
    if (start % 4 !== 0 || offset < 0 || offset + data.byteLength > range.size) {
      throw new RangeError(
        `Cannot write ${data.byteLength} bytes at offset ${offset} of a range of ${range.size} ` +
          `bytes that begins at ${range.offset} of "${buffer.label}" (${buffer.size} bytes): ` +
          "the data must fit and start at a multiple of 4.",
      );
    }
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
    let total = 0;
    // Copies move multiples of 4 bytes from multiples of 4; the odd ends are cut off afterwards.
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
    const limit = this.adapter.limits.maxBufferSize;
    if (total > limit) {
      throw new RangeError(`Cannot read ${total} bytes at once: the limit is ${limit}.`);
    }
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
      await this.#settle(() => staging.mapAsync(MAP_READ, 0, Math.max(4, total)));
      const mapped = staging.getMappedRange(0, Math.max(4, total));
      return parts.map(({ begin, size }) => mapped.slice(begin, begin + size));
    } finally {
      if (staging.mapState === "mapped") staging.unmap();
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
    this.#throwCollected();
  }

  /**
   * Binds ranges to a kernel's bindings, in order.
   *
   * @throws RangeError when number, size, offset or place of a range is impossible.
   */
  bindGroup(kernel: Kernel, buffers: readonly BufferRange[]): GPUBindGroup {
    this.#alive();
    this.#checkRanges(kernel, buffers);
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
    this.#lastSubmit = launches;
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
    if (this.#closed === undefined || !this.#closed.startsWith("This Gpu")) {
      this.#closed = "This Gpu was disposed; open another with openGpu().";
      this.device.removeEventListener("uncapturederror", this.#onError as EventListener);
    }
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
    this.#counts.buffers++;
    this.#expect(scope.then((error) => error ? this.#outOfMemory(size, label, error) : undefined));
    return buffer;
  }

  #outOfMemory(size: number, label: string, cause: GPUError): Error {
    const { live, pooled, buffers } = this.memory();
    const largest = this.#buffers.largest(5)
      .map(({ label, bytes }) => `"${label}" ${formatBytes(bytes)}`).join(", ");
    this.trim();
    return new Error(
      `Out of GPU memory allocating ${formatBytes(size)} for "${label}" on ${this.adapter.name}: ` +
        `${formatBytes(live)} were held in ${buffers} buffers (largest: ${largest}), ` +
        `${formatBytes(pooled)} in free ones, which are now destroyed. Use a smaller batch or ` +
        "model, dispose tensors that are no longer needed, or close other programs on the GPU.",
      { cause },
    );
  }

  #checkRanges(kernel: Kernel, buffers: readonly BufferRange[]): void {
    const { bindings, label } = kernel;
    const { limits } = this.adapter;
    if (buffers.length !== bindings.length) {
      throw new RangeError(
        `Kernel "${label}" has ${bindings.length} bindings (${bindings.join(", ")}); ` +
          `${buffers.length} buffers were given.`,
      );
    }
    buffers.forEach(({ buffer, offset, size }, i) => {
      const uniform = bindings[i] === "uniform";
      const most = uniform
        ? limits.maxUniformBufferBindingSize
        : limits.maxStorageBufferBindingSize;
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

  /** Begins a wait, then throws what went wrong up to its end. */
  async #settle<T>(start: () => Promise<T>): Promise<T> {
    const outcome = await paced(async () => {
      const [result] = await Promise.allSettled([start(), ...this.#pending]);
      return result as PromiseSettledResult<T>;
    });
    this.#alive();
    this.#throwCollected();
    if (outcome.status === "rejected") {
      throw new Error(`The GPU did not finish: ${outcome.reason}`, { cause: outcome.reason });
    }
    return outcome.value;
  }

  #expect(check: Promise<Error | undefined>): void {
    const pending = check.then((error) => {
      if (error) this.#errors.push(error);
    }, () => {
      // Error scopes reject only when the device is lost, which has its own message.
    }).finally(() => this.#pending.delete(pending));
    this.#pending.add(pending);
  }

  #collect(event: GPUUncapturedErrorEvent): void {
    event.preventDefault();
    const labels = [...new Set(this.#lastSubmit.map(({ kernel }) => `"${kernel.label}"`))];
    const shown = labels.slice(0, 8).join(", ") + (labels.length > 8 ? ", …" : "");
    const last = labels.length > 0 ? `\nLast submitted: ${shown}` : "";
    const { error } = event;
    this.#errors.push(
      new Error(`WebGPU refused the work: ${error.message.trim()}${last}`, { cause: error }),
    );
  }

  #throwCollected(): void {
    if (this.#errors.length === 0) return;
    const [first, ...others] = this.#errors;
    this.#errors = [];
    if (others.length > 0) first.message += `\n(and ${others.length} more GPU errors)`;
    throw first;
  }
}
