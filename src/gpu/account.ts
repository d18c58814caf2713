/**
 * What a device holds and what was done with it.
 *
 * @module
 */

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

/** What one owner holds. */
export interface Holding {
  /** Bytes in its buffers. */
  readonly bytes: number;
  /** Number of its buffers. */
  readonly buffers: number;
}

/** The device memory that is held, in bytes. */
export interface GpuMemory {
  /** Bytes in acquired buffers: the sum over the owners. */
  readonly live: number;
  /** The most there ever were. */
  readonly peak: number;
  /** Bytes of free buffers kept for reuse: at most what brings the sum to the peak, or 256 MiB. */
  readonly pooled: number;
  /** Number of acquired buffers. */
  readonly buffers: number;
  /**
   * Who holds the live bytes, most first: the owners named at `Gpu.acquire`. By custom "parameters",
   * "optimizer", "plan" (memory of compiled plans), "tensor" (values of single tensors), "staging"
   * (reads under way); "other" where none was named.
   */
  readonly owners: Readonly<Record<string, Holding>>;
}

/** What `Gpu.acquireAll` is asked for. */
export interface BufferRequest {
  /** Size wanted. */
  readonly bytes: number;
  /** Shown in errors: a tensor's name, for example. */
  readonly label: string;
  /** In whose account it goes; see {@linkcode GpuMemory.owners}. Default "other". */
  readonly owner?: string;
}
