/** Looking into plans: which kernels a computation becomes, what they read, write and need. */
import type { Tensor } from "./graph.ts";
import { bytesPerElement } from "./dtype.ts";
import { bytesOf, plan } from "./plan.ts";
import { stepReads } from "./schedule.ts";
import { currentSession } from "./session.ts";
import { sizeOf } from "./shape.ts";
import { targetOf } from "./webgpu/execute.ts";
import { labelOf, lower } from "./webgpu/lower.ts";

/** One kernel of a plan. */
export interface ExplainedStep {
  /** Operation, result and epilogue. */
  kernel: string;
  /** Tensors read, as `f32[2,3]`. */
  reads: string[];
  /** Tensors written. */
  writes: string[];
  /** Bytes read and written if every tensor is moved once. */
  bytes: number;
  /** Floating-point operations of a matrix product, 0 for anything else. */
  flops: number;
  /** The kernel's WGSL. */
  wgsl: string;
}

/** A plan in words. */
export interface Explanation {
  /** The kernels in order. */
  steps: ExplainedStep[];
  /** Bytes of intermediate results, shared by liveness. */
  planned: number;
  /** Bytes that intermediate results would need if none shared memory. */
  unshared: number;
  /** The steps as aligned text. */
  toString(): string;
}

/**
 * The plan that reading these tensors would run on the current session's device. Nothing is computed.
 *
 * @throws {Error} if no session is open.
 *
 * @example
 * ```ts ignore
 * console.log(String(explain(softmax(matmul(a, b)))));
 * ```
 */
export function explain(...tensors: Tensor[]): Explanation {
  const { steps, isStored, slots, places } = plan(tensors);
  const target = targetOf(currentSession().gpu);
  const explained = steps.filter((s) => s.writes.some((t) => t.size > 0)).map((step) => {
    const reads = stepReads(step, isStored);
    const { op, inputs, outputs } = step.node;
    const inner = op === "grouped_outer" ? inputs[0].shape[0] : inputs[0]?.shape.at(-1) ?? 0;
    const isProduct = op === "matmul" || op === "grouped_matmul" || op === "grouped_outer";
    const groups = op === "grouped_outer" ? outputs[0].shape[0] : 1;
    return {
      kernel: labelOf(step),
      reads: reads.map(String),
      writes: step.writes.map(String),
      bytes: [...reads, ...step.writes].reduce((n, t) => n + t.size * bytesPerElement(t.dtype), 0),
      flops: isProduct ? 2 * sizeOf(outputs[0].shape) * inner / groups : 0,
      wgsl: lower(step, isStored, target).kernel.code,
    };
  });
  const planned = slots.reduce((n, s) => n + s.bytes, 0);
  const unshared = [...places.keys()].reduce((n, t) => n + bytesOf(t), 0);
  const toString = () =>
    [
      `${explained.length} kernels, ${planned} bytes (${unshared} without sharing)`,
      ...explained.map((s, i) =>
        `${String(i + 1).padStart(4)}  ${s.kernel.padEnd(44)} ${s.reads.join(" ")} → ${
          s.writes.join(" ")
        }`
      ),
    ].join("\n");
  return { steps: explained, planned, unshared, toString };
}
