/**
 * The device: memory, transfers, pipelines, submission, errors.
 *
 * @module
 */

import type { BufferRequest, GpuCounters, GpuMemory } from "./account.ts";
import type { AdapterFacts } from "./adapter.ts";
import { MAP_READ } from "./constants.ts";
import { lossMessage, notHeld } from "./errors.ts";
import type { BufferRange, Copy, Kernel, Launch } from "./kernel.ts";
import { LateErrors } from "./late_errors.ts";
import { DeviceMemory } from "./memory.ts";
import { PipelineCache } from "./pipelines.ts";
import { Poison } from "./poison.ts";
import { hostTimes, type KernelTime, Profile } from "./profile.ts";
import type { ProviderName } from "./provider.ts";
import { checkBindings, checkWrite, planRead } from "./ranges.ts";
import { Watch } from "./watch.ts";

/** How long a failed wait may wait for the report that the device was lost, ms. */
const LOSS_REPORT_MS = 50;
/** How long a submission may take unless told otherwise, s. */
const HANG_SECONDS = 120;

/** How a {@linkcode Gpu} behaves. */
export interface GpuBehaviour {
  /**
   * A wait ends with an error, which names the kernels, when submitted work has not finished after
   * this many seconds for each submission. Default 120. Deno's own WebGPU halts the whole program
   * while it waits, so there nothing can watch.
   */
  readonly hangSeconds?: number;
  /**
   * For debugging, slow: every acquired buffer, and before each kernel whatever it only writes, is
   * filled with 0xFF (NaN), so that a read of what nobody wrote shows. Default false.
   */
  readonly poison?: boolean;
  /**
   * Kernel variants to use instead of those that suit the adapter, by family. This layer only hands
   * them on; `session.variants()` tells which there are. Default none.
   */
  readonly variants?: Readonly<Record<string, string>>;
}

/** An open GPU. Make one with `openGpu`. */
export class Gpu implements Disposable {
  /** The WebGPU device. */
  readonly device: GPUDevice;
  /** Where it comes from. */
  readonly provider: ProviderName | "given";
  /** What it is and can do. */
  readonly adapter: AdapterFacts;
  /** Kernel variants that were asked for, by family. */
  readonly variants: Readonly<Record<string, string>>;
  /** Settles when the device is lost or disposed; every later call then throws. */
  readonly lost: Promise<GPUDeviceLostInfo>;

  readonly #owned: boolean;
  readonly #memory: DeviceMemory;
  readonly #pipelines: PipelineCache;
  readonly #counts = { bindGroups: 0, submits: 0, dispatches: 0 };
  readonly #late = new LateErrors();
  readonly #watch: Watch;
  readonly #poison: Poison | undefined;
  #closed: string | undefined;

  /** Use `openGpu`. */
  constructor(
    device: GPUDevice,
    provider: ProviderName | "given",
    adapter: AdapterFacts,
    owned: boolean,
    behaviour: GpuBehaviour = {},
  ) {
    const { hangSeconds = HANG_SECONDS, poison = false, variants = {} } = behaviour;
    this.device = device;
    this.provider = provider;
    this.adapter = adapter;
    this.variants = variants;
    this.#owned = owned;
    this.#memory = new DeviceMemory(device, adapter, this.#late);
    this.#pipelines = new PipelineCache(device, this.#late.expect);
    this.#watch = new Watch(hangSeconds, adapter.name);
    this.#poison = poison ? new Poison(device) : undefined;
    device.addEventListener("uncapturederror", this.#late.collect as EventListener);
    this.lost = device.lost.then((info) => {
      // Not looked at once it was disposed: Dawn crashes when asked as the isolate ends.
      if (this.#closed === undefined) {
        this.#close(lossMessage(info, this.#watch.underWay(), this.#late.lastSubmit));
      }
      return info;
    });
  }

  /** What was ever created or done. */
  get counters(): GpuCounters {
    const { created: buffers } = this.#memory;
    return { ...this.#counts, buffers, pipelines: this.#pipelines.created };
  }

  /** The device memory that is held, in bytes, and by whom. */
  memory(): GpuMemory {
    return this.#memory.report();
  }

  /**
   * A storage buffer of at least `bytes` bytes, from the pool when one fits. Its contents are
   * undefined. Running out of memory surfaces at the next `read`, `idle` or `check`; use `acquireAll`
   * for large buffers.
   *
   * @param bytes Size wanted.
   * @param label Shown in errors.
   * @param owner In whose account it goes; see {@linkcode GpuMemory.owners}.
   * @throws RangeError when the device cannot have or bind a buffer of that size.
   */
  acquire(bytes: number, label: string = "buffer", owner: string = "other"): GPUBuffer {
    this.#alive();
    const buffer = this.#memory.acquire({ bytes, label, owner });
    this.#poison?.fill(buffer);
    return buffer;
  }

  /**
   * Storage buffers like `acquire`, with the device's word that it has the memory for them: when it
   * has not, the pool's free buffers are destroyed and it is asked once more. Waits only if a buffer
   * has to be created.
   *
   * @throws RangeError when the device cannot have or bind a buffer of such a size; Error when the
   * memory does not suffice, with who holds how much of it. Nothing is acquired then.
   */
  async acquireAll(requests: readonly BufferRequest[]): Promise<GPUBuffer[]> {
    this.#alive();
    const buffers = await this.#memory.acquireAll(requests, (start) => this.#watch.wait(start));
    this.#alive();
    for (const buffer of buffers) this.#poison?.fill(buffer);
    return buffers;
  }

  /**
   * Moves an acquired buffer into another owner's account, under another label if one is given.
   *
   * @throws Error when the buffer is not an acquired one.
   */
  assign(buffer: GPUBuffer, owner: string, label?: string): void {
    if (this.#closed !== undefined) return;
    if (!this.#memory.assign(buffer, owner, label)) throw notHeld(buffer);
  }

  /**
   * Gives a buffer back to the pool. Work that was submitted with it still completes.
   *
   * @throws Error when the buffer is not an acquired one (released twice, say).
   */
  release(buffer: GPUBuffer): void {
    if (this.#closed !== undefined) return;
    if (!this.#memory.release(buffer)) throw notHeld(buffer);
  }

  /**
   * Destroys the free buffers that are kept for reuse. Their memory is free when work that was
   * submitted before is done: after `idle()`, say.
   */
  trim(): void {
    this.#memory.trim();
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
    return await this.startRead(ranges)();
  }

  /**
   * Submits launches and the copying of ranges together, now.
   *
   * @returns Waits for the bytes; to be called once.
   * @throws RangeError when a range is not inside its buffer or a launch has too many workgroups;
   * nothing is submitted then.
   */
  startRead(
    ranges: readonly BufferRange[],
    launches: readonly Launch[] = [],
  ): () => Promise<ArrayBuffer[]> {
    // Nothing is asked of the device, so values of the host can be had when it is lost.
    if (ranges.length === 0 && launches.length === 0) return () => Promise.resolve([]);
    this.#alive();
    const { parts, total } = planRead(ranges, this.adapter.limits.maxBufferSize);
    const staging = this.#memory.staging(total);
    try {
      const copies = parts.filter(({ length }) => length > 0)
        .map(({ buffer, from, length, at }) => ({
          from: { buffer, offset: from, size: length },
          to: { buffer: staging, offset: at, size: length },
        }));
      this.submit(launches, copies);
    } catch (error) {
      this.#memory.release(staging);
      throw error;
    }
    return async () => {
      try {
        const mapped = await this.#settle(async () => {
          await staging.mapAsync(MAP_READ, 0, Math.max(4, total));
          return staging.getMappedRange(0, Math.max(4, total));
        });
        return parts.map(({ begin, size }) => mapped.slice(begin, begin + size));
      } finally {
        // After a loss there is nothing to unmap, and wgpu would throw over the error under way.
        if (this.#closed === undefined) {
          // A wait that was given up leaves the map pending.
          if (staging.mapState === "pending") this.#memory.discard(staging);
          else if (staging.mapState === "mapped") staging.unmap();
        }
        this.#memory.release(staging);
      }
    };
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
    try {
      await this.#watch.wait(() => this.#pipelines.prepare(kernels));
    } catch (error) {
      await this.#lossReport();
      this.#alive();
      throw error;
    }
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
    const group = this.device.createBindGroup({
      label: kernel.label,
      layout: this.#pipelines.groupLayout(kernel.bindings),
      entries: buffers.map((resource, binding) => ({ binding, resource })),
    });
    this.#poison?.bound(group, kernel, buffers);
    return group;
  }

  /**
   * Submits launches, in order, in one compute pass, then the copies: one encoder, one submit.
   *
   * @param profile Times every dispatch (each then gets a pass of its own, which is slower).
   * @throws RangeError when a launch has more workgroups than the device allows.
   */
  submit(launches: readonly Launch[], copies: readonly Copy[] = [], profile?: Profile): void {
    this.#alive();
    if (this.#poison && launches.length > 0) {
      if (launches.length > 1) {
        for (const launch of launches) this.submit([launch], [], profile);
        return this.submit([], copies, profile);
      }
      this.#poison.before(launches[0].group);
    }
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
    if (launches.length > 0) this.#late.lastSubmit = launches;
    this.#counts.dispatches += launches.length;
    this.#submit(encoder, launches);
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
        `Cannot time kernels of several submissions: ${this.adapter.name} (${this.provider}) has ` +
          "no timestamp queries. Use profiled(), which times from outside then.",
      );
    }
    return new Profile(this.device, (buffer, bytes) => this.read(buffer, 0, bytes));
  }

  /**
   * Runs launches and times each dispatch: on the device where the adapter has timestamp queries, else
   * from outside, one dispatch at a time, which adds the way there and back (`clock` tells which).
   */
  async profiled(launches: readonly Launch[]): Promise<KernelTime[]> {
    if (!this.adapter.timestamps) {
      await this.idle();
      return await hostTimes(launches, async (launch) => {
        this.submit([launch]);
        await this.idle();
      });
    }
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
    this.#close("This Gpu was disposed; open another with openGpu().");
    this.device.removeEventListener("uncapturederror", this.#late.collect as EventListener);
    this.#memory.destroy();
    if (this.#owned) this.device.destroy();
  }

  /** Same as `dispose`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  #alive(): void {
    if (this.#closed !== undefined) throw new Error(this.#closed);
  }

  /** Every call from now on, and every wait under way, fails with this message. */
  #close(message: string): void {
    this.#closed ??= message;
    this.#watch.fail(() => new Error(this.#closed));
  }

  #submit(encoder: GPUCommandEncoder, launches: readonly Launch[]): void {
    this.device.queue.submit([encoder.finish()]);
    this.#watch.submitted(launches);
    this.#counts.submits++;
  }

  /** Begins a wait for the submitted work, then throws what went wrong up to its end. */
  async #settle<T>(start: () => Promise<T>): Promise<T> {
    const outcome = await this.#watch.work(async () => {
      const [result] = await Promise.allSettled([start(), ...this.#late.pending]);
      return result as PromiseSettledResult<T>;
    });
    if (outcome.status === "rejected") await this.#lossReport();
    this.#alive();
    this.#late.throwAny();
    if (outcome.status === "rejected") {
      throw new Error(`The GPU did not finish: ${outcome.reason}`, { cause: outcome.reason });
    }
    return outcome.value;
  }

  /** A lost device rejects every wait a moment before it reports the loss. */
  async #lossReport(): Promise<void> {
    if (this.#closed === undefined) await Promise.race([this.lost, sleep(LOSS_REPORT_MS)]);
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
