/**
 * What a device can do at most, measured: the speed of its memory and of its arithmetic.
 *
 * The two limits of the roofline model (Williams, Waterman and Patterson 2009). Memory is measured
 * by the triad of the STREAM benchmark (McCalpin 1995), arithmetic by independent chains of fused
 * multiply-adds.
 *
 * @module
 */

import { BUFFER_USAGE } from "./constants.ts";
import type { Gpu } from "./gpu.ts";
import type { BufferRange, Kernel, Launch } from "./kernel.ts";

/** The measured limits of a device. */
export interface Peak {
  /** Bytes per second that a kernel reads and writes, from buffers larger than the caches. */
  readonly bandwidth: number;
  /** Single-precision floating-point operations per second; a multiply-add is two. */
  readonly flops: number;
}

/** Milliseconds that one run of the arithmetic takes at least. */
const LONG_MS = 5;

/** Measurements whose median counts. */
const REPEATS = 5;

/** `c[i] = a[i] + 3 b[i]`; every invocation does `rounds` times four floats. */
function triad(bytes: number, width: number, rounds: number): Kernel {
  return {
    label: "peak bandwidth",
    code: /* wgsl */ `
@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(1) var<storage, read> b: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> c: array<vec4f>;
@compute @workgroup_size(${width})
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lane: u32) {
  var i = wg.x * ${width * rounds}u + lane;
  for (var round = 0u; round < ${rounds}u; round++) {
    c[i] = a[i] + 3.0f * b[i];
    i += ${width}u;
  }
}`,
    bindings: ["read", "read", "write"],
    workgroups: [bytes / (16 * width * rounds), 1, 1],
  };
}

/** Chains that do not wait for each other: enough to hide a multiply-add's latency. */
const CHAINS = 12;
/** Multiply-adds of one chain. */
const STEPS = 1024;

/** {@linkcode CHAINS} chains of multiply-adds in every invocation, on values that stay finite. */
function arithmetic(groups: number, width: number): Kernel {
  const chains = Array.from({ length: CHAINS }, (_, i) => i);
  return {
    label: "peak arithmetic",
    code: /* wgsl */ `
@group(0) @binding(0) var<storage, read_write> out: array<f32>;
@compute @workgroup_size(${width})
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let x = 0.5f + f32(lane) * 1e-3f;
  let y = 1.0f - x;
  ${chains.map((i) => `var v${i} = f32(lane + ${i}u);`).join(" ")}
  for (var step = 0u; step < ${STEPS}u; step++) {
    ${chains.map((i) => `v${i} = fma(v${i}, x, y);`).join(" ")}
  }
  out[wg.x % 64u * ${width}u + lane] = ${chains.map((i) => `v${i}`).join(" + ")};
}`,
    bindings: ["write"],
    workgroups: [groups, 1, 1],
  };
}

/**
 * Measures a device's peak: medians of a few short runs, under a second in all on a CPU driver of
 * two cores. Its memory is given back at once and does not pass through the device's pool.
 *
 * @param gpu The device, which should have nothing else to do.
 * @throws {Error} If the device fails.
 */
export async function measurePeak(gpu: Gpu): Promise<Peak> {
  const { software, limits } = gpu.adapter;
  const width = software ? 64 : 256;
  // A CPU driver pays for every invocation, so it gets fewer of them.
  const rounds = software ? 64 : 4;
  // Larger than the caches; a CPU's memory is slow enough to be timed with less.
  const most = Math.min((software ? 16 : 256) * 2 ** 20, limits.maxStorageBufferBindingSize);
  const size = most - most % (16 * width * rounds);
  const ranges: BufferRange[] = Array.from({ length: 3 }, () => ({
    buffer: gpu.device.createBuffer({ size, usage: BUFFER_USAGE.storage, label: "peak" }),
    offset: 0,
    size,
  }));
  try {
    const bind = (kernel: Kernel, ranges: readonly BufferRange[]): Launch => ({
      kernel,
      pipeline: gpu.pipeline(kernel),
      group: gpu.bindGroup(kernel, ranges),
    });
    const moving = bind(triad(size, width, rounds), ranges);
    await gpu.profiled([moving]); // compiles, and touches the memory for the first time
    const bandwidth = 3 * size / (await median(gpu, moving) / 1e3);

    const workload = (groups: number): Launch => bind(arithmetic(groups, width), [ranges[0]]);
    // Until it takes long enough for a coarse clock.
    let groups = 64;
    let computing = workload(groups);
    await gpu.profiled([computing]);
    while (groups < 32768 && (await gpu.profiled([computing]))[0].ms < LONG_MS) {
      computing = workload(groups *= 4);
    }
    const operations = 2 * CHAINS * STEPS * width * groups;
    return { bandwidth, flops: operations / (await median(gpu, computing) / 1e3) };
  } finally {
    for (const { buffer } of ranges) buffer.destroy();
  }
}

/** Median time of a launch in milliseconds. */
async function median(gpu: Gpu, launch: Launch): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < REPEATS; i++) times.push((await gpu.profiled([launch]))[0].ms);
  return times.sort((a, b) => a - b)[REPEATS >> 1];
}
