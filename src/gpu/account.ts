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
