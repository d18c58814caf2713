/**
 * The records that describe one dispatch: a kernel, the byte ranges it works on, the launch.
 *
 * @module
 */

/** How a kernel uses one binding; it decides the bind group layout. */
export type BindingKind = "read" | "write" | "uniform";

/**
 * One WGSL compute kernel and the size of its launch.
 *
 * Within one dispatch WebGPU forbids a buffer to be bound both as "read" and as "write", even at
 * ranges that do not overlap. Give inputs and outputs different buffers, or declare every range of a
 * shared buffer as "write" (`var<storage, read_write>`, ranges that do not overlap).
 */
export interface Kernel {
  /** Shown in errors and profiles. */
  readonly label: string;
  /**
   * Complete WGSL with entry point `main`. Bindings 0..n-1 of group 0 come in the order of the
   * launch's buffers.
   */
  readonly code: string;
  /** Values of the `override` constants. */
  readonly constants?: Readonly<Record<string, number>>;
  /**
   * For each binding: "read" (`var<storage, read>`), "write" (`var<storage, read_write>`) or
   * "uniform" (`var<uniform>`).
   */
  readonly bindings: readonly BindingKind[];
  /** Workgroups to dispatch along x, y, z. */
  readonly workgroups: readonly [number, number, number];
}

/** A range of bytes in a buffer. */
export interface BufferRange {
  /** The buffer. */
  readonly buffer: GPUBuffer;
  /** First byte. A bind group needs a multiple of the device's offset alignment. */
  readonly offset: number;
  /** Length in bytes. */
  readonly size: number;
}

/** A kernel with everything a dispatch needs; build it once, replay it as often as you like. */
export interface Launch {
  /** The kernel; its label and workgroups are used. */
  readonly kernel: Kernel;
  /** From `Gpu.pipeline(kernel)`. */
  readonly pipeline: GPUComputePipeline;
  /** From `Gpu.bindGroup(kernel, ranges)`. */
  readonly group: GPUBindGroup;
}

/** A copy between two buffers. `size` of both ranges must agree. Offsets and sizes: multiples of 4. */
export interface Copy {
  /** Where to read. */
  readonly from: BufferRange;
  /** Where to write; never the same buffer as `from`. */
  readonly to: BufferRange;
}
