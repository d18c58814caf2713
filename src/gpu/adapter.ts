/**
 * What is known about an adapter, and what to request from it.
 *
 * @module
 */

import type { MatrixUnit } from "../../kernels/matmul_matrix.wgsl.ts";

/** Compute limits that the library asks the adapter for in full and reports. */
const LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxUniformBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "minStorageBufferOffsetAlignment",
  "minUniformBufferOffsetAlignment",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupSizeY",
  "maxComputeWorkgroupSizeZ",
  "maxComputeWorkgroupsPerDimension",
] as const;

/** The feature by which kernels can use tensor cores. */
export const SUBGROUP_MATRIX = "chromium-experimental-subgroup-matrix";
/** An optional feature of a device, by its WebGPU name. */
export type GpuFeature =
  | "timestamp-query"
  | "subgroups"
  | "shader-f16"
  | "chromium-experimental-subgroup-matrix";

/** Optional features that kernels can use; each is requested when the adapter lists it. */
export const GPU_FEATURES: readonly GpuFeature[] = [
  "timestamp-query",
  "subgroups",
  "shader-f16",
  SUBGROUP_MATRIX,
];

/** The device's compute limits, in bytes or counts as the WebGPU specification defines them. */
export interface GpuLimits {
  /** Largest buffer, bytes. */
  readonly maxBufferSize: number;
  /** Largest range bound as storage, bytes. */
  readonly maxStorageBufferBindingSize: number;
  /** Largest range bound as uniform, bytes. */
  readonly maxUniformBufferBindingSize: number;
  /** Storage bindings of one kernel. */
  readonly maxStorageBuffersPerShaderStage: number;
  /** Offsets of storage bindings are multiples of this, bytes. */
  readonly minStorageBufferOffsetAlignment: number;
  /** Offsets of uniform bindings are multiples of this, bytes. */
  readonly minUniformBufferOffsetAlignment: number;
  /** Workgroup memory of one kernel, bytes. */
  readonly maxComputeWorkgroupStorageSize: number;
  /** Invocations of one workgroup. */
  readonly maxComputeInvocationsPerWorkgroup: number;
  /** Workgroup size along x. */
  readonly maxComputeWorkgroupSizeX: number;
  /** Workgroup size along y. */
  readonly maxComputeWorkgroupSizeY: number;
  /** Workgroup size along z. */
  readonly maxComputeWorkgroupSizeZ: number;
  /** Workgroups of one dispatch along each axis. */
  readonly maxComputeWorkgroupsPerDimension: number;
}

/** Facts about an open adapter. Kernel variants are chosen by them and runs record them. */
export interface AdapterFacts {
  /** The adapter's name, for example "NVIDIA H100" or "llvmpipe (LLVM 15.0.6, 256 bits)". */
  readonly name: string;
  /** The vendor, as the provider words it. */
  readonly vendor: string;
  /** The architecture; empty where the provider does not tell. */
  readonly architecture: string;
  /** The driver and its version; empty where the provider does not tell. */
  readonly driver: string;
  /** Whether the "GPU" is the CPU (lavapipe, SwiftShader, WARP). */
  readonly software: boolean;
  /** Subgroup sizes, or undefined when kernels cannot use subgroups. */
  readonly subgroups: { readonly min: number; readonly max: number } | undefined;
  /** Whether kernels may `enable f16`. */
  readonly f16: boolean;
  /** Whether dispatches can be timed. */
  readonly timestamps: boolean;
  /**
   * Matrices that a subgroup multiplies at once, on tensor cores or their like, with sums in f32; of
   * those of one type the largest first. Empty where kernels cannot use them, and of a device that was
   * given, since Dawn tells the sizes of an adapter only.
   */
  readonly matrixUnits: readonly MatrixUnit[];
  /** The device's limits. */
  readonly limits: GpuLimits;
}

/** Subgroup sizes are standard members of `GPUAdapterInfo` that older type libraries lack. */
type Info = GPUAdapterInfo & {
  readonly subgroupMinSize?: number;
  readonly subgroupMaxSize?: number;
  readonly isFallbackAdapter?: boolean;
  readonly subgroupMatrixConfigs?: Iterable<
    { componentType: string; resultComponentType: string; M: number; N: number; K: number }
  >;
};

function matrixUnits({ subgroupMatrixConfigs = [] }: Info): MatrixUnit[] {
  const units: MatrixUnit[] = [];
  for (const { componentType, resultComponentType, M, N, K } of subgroupMatrixConfigs) {
    if (resultComponentType !== "f32") continue;
    if (componentType !== "f16" && componentType !== "f32") continue;
    units.push({ operands: componentType, m: M, n: N, k: K });
  }
  const size = ({ m, n, k }: MatrixUnit) => m * n * k;
  return units.sort((a, b) => size(b) - size(a));
}

/** Whether the adapter runs on the CPU, from the standard flag or the known drivers' names. */
export function isSoftware(info: GPUAdapterInfo): boolean {
  return (info as Info).isFallbackAdapter === true ||
    /llvmpipe|lavapipe|swiftshader|basic render/i.test(`${info.device} ${info.description}`);
}

/**
 * The name of an adapter. Dawn keeps a readable name of lavapipe in the description and an identifier
 * in `device`; for hardware it is the other way round, and wgpu has only a description.
 */
export function adapterName(info: GPUAdapterInfo): string {
  return adapterWords(info).name;
}

function adapterWords(info: GPUAdapterInfo): { name: string; driver: string } {
  const { device, description } = info;
  // A bare number in `device` is a PCI id; a description with a colon or a version is the driver's.
  if (device === "" || /^\d+$/.test(device)) return { name: description, driver: "" };
  return { name: device.replace(/-+$/, ""), driver: description };
}

/**
 * Describes an open device.
 *
 * @param without Features to say nothing of, so that nobody uses them.
 */
export function adapterFacts(
  device: GPUDevice,
  info: GPUAdapterInfo,
  without: readonly GpuFeature[] = [],
): AdapterFacts {
  const left = withDependents(without);
  const has = (name: GpuFeature): boolean =>
    !left.includes(name) && (device.features as unknown as ReadonlySet<string>).has(name);
  const { subgroupMinSize: min, subgroupMaxSize: max } = info as Info;
  const limits = Object.fromEntries(LIMITS.map((name) => [name, device.limits[name]]));
  return {
    ...adapterWords(info),
    vendor: info.vendor,
    architecture: info.architecture,
    software: isSoftware(info),
    subgroups: has("subgroups") && min !== undefined && max !== undefined
      ? { min, max }
      : undefined,
    f16: has("shader-f16"),
    timestamps: has("timestamp-query"),
    matrixUnits: has(SUBGROUP_MATRIX) ? matrixUnits(info) : [],
    limits: limits as unknown as GpuLimits,
  };
}

/** Features to leave out, with those that bring one of them along. */
function withDependents(without: readonly GpuFeature[]): readonly GpuFeature[] {
  return without.includes("subgroups") || without.includes("shader-f16")
    ? [...without, SUBGROUP_MATRIX]
    : without;
}

/**
 * The device descriptor that asks for every useful feature and limit that the adapter has.
 *
 * @param without Features to leave out.
 */
export function deviceRequest(
  adapter: GPUAdapter,
  without: readonly GpuFeature[] = [],
): GPUDeviceDescriptor {
  const left = withDependents(without);
  const features: ReadonlySet<string> = adapter.features as unknown as ReadonlySet<string>;
  const requiredLimits: Record<string, number> = {};
  for (const name of LIMITS) {
    const value = adapter.limits[name];
    if (value !== undefined) requiredLimits[name] = value;
  }
  return {
    label: "moiie-lab",
    requiredFeatures: GPU_FEATURES.filter((name) =>
      features.has(name) && !left.includes(name)
    ) as GPUFeatureName[],
    requiredLimits,
  };
}
