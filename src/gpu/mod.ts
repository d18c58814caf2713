/**
 * The device: finding it (Dawn, Deno's own WebGPU, a browser's), pooled memory, cached pipelines,
 * submission, timing, and errors that name the kernel.
 *
 * ```ts
 * import { openGpu } from "@moiie/lab/gpu";
 *
 * using gpu = await openGpu();
 * const kernel = {
 *   label: "double",
 *   code: `
 *     @group(0) @binding(0) var<storage, read_write> x: array<f32>;
 *     @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
 *       if (id.x < arrayLength(&x)) { x[id.x] *= 2; }
 *     }`,
 *   bindings: ["write"],
 *   workgroups: [1, 1, 1],
 * } as const;
 * const range = { buffer: gpu.acquire(16, "x"), offset: 0, size: 16 };
 * gpu.write(range, new Float32Array([1, 2, 3, 4]));
 * gpu.submit([{ kernel, pipeline: gpu.pipeline(kernel), group: gpu.bindGroup(kernel, [range]) }]);
 * console.log(new Float32Array(await gpu.read(range.buffer, 0, 16))); // 2, 4, 6, 8
 * ```
 *
 * @module
 */

export type { BufferRequest, GpuCounters, GpuMemory, Holding } from "./account.ts";
export type { MatrixUnit } from "../../kernels/matmul_matrix.wgsl.ts";
export type { AdapterFacts, GpuFeature, GpuLimits } from "./adapter.ts";
export { cacheFolder } from "./cache_folder.ts";
export { environmentVariable } from "./environment.ts";
export { formatBytes } from "./errors.ts";
export { Gpu, type GpuBehaviour } from "./gpu.ts";
export type { BindingKind, BufferRange, Copy, Kernel, Launch } from "./kernel.ts";
export { type GpuOptions, openGpu } from "./open.ts";
export { paced } from "./pace.ts";
export { measurePeak, type Peak } from "./peak.ts";
export { type KernelTime, Profile } from "./profile.ts";
export {
  type AdapterQuery,
  dawnAdapters,
  findAdapter,
  type FoundAdapter,
  type ProviderName,
} from "./provider.ts";
