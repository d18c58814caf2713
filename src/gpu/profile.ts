/**
 * Timing dispatches with the adapter's timestamp queries, or from outside.
 *
 * @module
 */

import { BUFFER_USAGE } from "./constants.ts";
import type { Launch } from "./kernel.ts";

/** How long one dispatch took. */
export interface KernelTime {
  /** The kernel's label. */
  readonly label: string;
  /** Milliseconds. Some drivers round to coarse steps. */
  readonly ms: number;
  /**
   * Who measured: the device's own clock, or the program's, from the submission to the answer, where
   * the device has none to show; such a time can be some milliseconds too long.
   */
  readonly clock: "device" | "host";
}

/** Times launches one by one by the program's clock. `run` does one and waits for its end. */
export async function hostTimes(
  launches: readonly Launch[],
  run: (launch: Launch) => Promise<void>,
): Promise<KernelTime[]> {
  const times: KernelTime[] = [];
  for (const launch of launches) {
    const start = performance.now();
    await run(launch);
    times.push({ label: launch.kernel.label, ms: performance.now() - start, clock: "host" });
  }
  return times;
}

/** Dispatches timed by one query set: two queries each, and 4096 is the specification's limit. */
const BATCH = 2048;

interface Batch {
  readonly queries: GPUQuerySet;
  readonly resolved: GPUBuffer;
  readonly labels: string[];
  /** Dispatches whose times already lie in `resolved`. */
  written: number;
}

/**
 * Collects the times of the dispatches that were submitted with it. Get one from `Gpu.profile()`,
 * pass it to `Gpu.submit`, then read `times()` once.
 */
export class Profile {
  readonly #device: GPUDevice;
  readonly #read: (buffer: GPUBuffer, bytes: number) => Promise<ArrayBuffer>;
  #batches: Batch[] = [];

  /** Made by `Gpu.profile()`. */
  constructor(
    device: GPUDevice,
    read: (buffer: GPUBuffer, bytes: number) => Promise<ArrayBuffer>,
  ) {
    this.#device = device;
    this.#read = read;
  }

  /** Opens a compute pass whose time is recorded under `label`. */
  beginPass(encoder: GPUCommandEncoder, label: string): GPUComputePassEncoder {
    let batch = this.#batches.at(-1);
    if (!batch || batch.labels.length === BATCH) {
      batch = this.#open();
      this.#batches.push(batch);
    }
    const first = 2 * batch.labels.length;
    batch.labels.push(label);
    return encoder.beginComputePass({
      label,
      timestampWrites: {
        querySet: batch.queries,
        beginningOfPassWriteIndex: first,
        endOfPassWriteIndex: first + 1,
      },
    });
  }

  /** Ends a submit: copies the queries written so far to where they can be read. */
  resolve(encoder: GPUCommandEncoder): void {
    for (const batch of this.#batches) {
      const { length } = batch.labels;
      if (batch.written === length) continue;
      encoder.resolveQuerySet(batch.queries, 0, 2 * length, batch.resolved, 0);
      batch.written = length;
    }
  }

  /** The times of all dispatches so far, in order; forgets them and frees the queries. */
  async times(): Promise<KernelTime[]> {
    const batches = this.#batches;
    this.#batches = [];
    const times: KernelTime[] = [];
    try {
      for (const { resolved, labels } of batches) {
        const stamps = new BigUint64Array(await this.#read(resolved, 16 * labels.length));
        labels.forEach((label, i) => {
          // Some drivers reset their clock between passes; a negative time means nothing.
          const ns = Number(stamps[2 * i + 1] - stamps[2 * i]);
          times.push({ label, ms: Math.max(0, ns) / 1e6, clock: "device" });
        });
      }
    } finally {
      for (const { queries, resolved } of batches) {
        queries.destroy();
        resolved.destroy();
      }
    }
    return times;
  }

  #open(): Batch {
    const device = this.#device;
    return {
      queries: device.createQuerySet({ type: "timestamp", count: 2 * BATCH, label: "profile" }),
      resolved: device.createBuffer({
        label: "profile",
        size: 16 * BATCH,
        usage: BUFFER_USAGE.queryResolve | BUFFER_USAGE.copySrc,
      }),
      labels: [],
      written: 0,
    };
  }
}
