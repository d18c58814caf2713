/**
 * What the runner runs.
 *
 * @module
 */
import type { Comparison } from "./compare.ts";

/** One case: something computed and compared with one or more reference tensors. */
export interface Case {
  /** Group, for the summary table: a file of operations, a folder of layers, … */
  readonly group: string;
  /** Name within the group. */
  readonly name: string;
  /** Computes and compares; throws a {@linkcode Skip} for what is not built. */
  run(): Promise<readonly Comparison[]> | readonly Comparison[];
}

/** Thrown by a case that cannot run because something is not built. */
export class Skip extends Error {
  override name = "Skip";
}
