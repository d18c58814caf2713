/** Tiny kernels for the device's tests, and the providers to test. */

import {
  type BufferRange,
  type Gpu,
  type Kernel,
  type Launch,
  openGpu,
} from "../../src/gpu/mod.ts";

type Provider = "dawn" | "deno";

async function reasonAgainst(provider: Provider): Promise<string | undefined> {
  try {
    (await openGpu({ provider })).dispose();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message.split(". ")[0] : String(error);
  }
}

/** Why a provider cannot be tested here; undefined when it can. */
const against: Record<Provider, string | undefined> = {
  dawn: await reasonAgainst("dawn"),
  deno: await reasonAgainst("deno"),
};

/** Registers a test that needs a provider; where there is none it is skipped with the reason. */
export function testOn(provider: Provider, name: string, fn: () => Promise<void>): void {
  const reason = against[provider];
  const skipped = reason ? ` [skipped: ${reason}]` : "";
  Deno.test({ name: `${name} with ${provider}${skipped}`, ignore: reason !== undefined, fn });
}

/** Registers a test for each provider. */
export function testOnEach(name: string, fn: (provider: Provider) => Promise<void>): void {
  for (const provider of ["dawn", "deno"] as const) testOn(provider, name, () => fn(provider));
}

/** `x[i] *= factor` for every element bound. */
export function scale(factor: number, label: string = "scale"): Kernel {
  return {
    label,
    code: `
override factor: f32;
@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < arrayLength(&x)) { x[id.x] *= factor; }
}`,
    constants: { factor },
    bindings: ["write"],
    workgroups: [4, 1, 1],
  };
}

/** `y[i] = x[i] + shift.x`. */
export const shifted: Kernel = {
  label: "shifted",
  code: `
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<uniform> shift: vec4f;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < arrayLength(&y)) { y[id.x] = x[id.x] + shift.x; }
}`,
  bindings: ["read", "uniform", "write"],
  workgroups: [4, 1, 1],
};

/** All of a buffer as floats. */
export function floats(buffer: GPUBuffer, count: number, first: number = 0): BufferRange {
  return { buffer, offset: 4 * first, size: 4 * count };
}

/** Compiles and binds. */
export function launch(gpu: Gpu, kernel: Kernel, ranges: readonly BufferRange[]): Launch {
  return { kernel, pipeline: gpu.pipeline(kernel), group: gpu.bindGroup(kernel, ranges) };
}

/** A new buffer with these values. */
export function upload(gpu: Gpu, values: readonly number[], label: string = "x"): GPUBuffer {
  const buffer = gpu.acquire(4 * values.length, label);
  gpu.write(buffer, new Float32Array(values));
  return buffer;
}

/** Reads floats back. */
export async function download(gpu: Gpu, buffer: GPUBuffer, count: number): Promise<number[]> {
  return [...new Float32Array(await gpu.read(buffer, 0, 4 * count))];
}
