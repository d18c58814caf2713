/**
 * Timing launches on any adapter.
 *
 * @module
 */

import type { Gpu } from "./gpu.ts";
import type { Launch } from "./kernel.ts";
import type { KernelTime } from "./profile.ts";

/**
 * Runs launches, in order, and times each: by the device's timestamps, or, where it has none, by
 * waiting for each, which counts the way to the device and back as well.
 *
 * @param gpu The device.
 * @param launches What to run.
 */
export async function timed(gpu: Gpu, launches: readonly Launch[]): Promise<KernelTime[]> {
  if (gpu.adapter.timestamps) return await gpu.profiled(launches);
  const times: KernelTime[] = [];
  for (const launch of launches) {
    const start = performance.now();
    gpu.submit([launch]);
    await gpu.idle();
    times.push({ label: launch.kernel.label, ms: performance.now() - start, clock: "host" });
  }
  return times;
}
