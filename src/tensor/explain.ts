/** Looking into plans: which kernels a computation becomes, what they read, write, cost and need. */
import { formatBytes } from "../gpu/mod.ts";
import { fusedOperations, stepCost } from "./costs.ts";
import type { Tensor } from "./graph.ts";
import { bytesOf, plan } from "./plan.ts";
import { stepReads } from "./schedule.ts";
import { currentSession } from "./session.ts";
import { textTable } from "./text_table.ts";
import { hasWork, targetOf } from "./webgpu/execute.ts";
import { labelOf, lower } from "./webgpu/lower.ts";

/** Options of {@linkcode explain}. */
export interface ExplainOptions {
  /** Show each kernel's WGSL for the current session's device. Default false. */
  wgsl?: boolean;
}

/** One kernel of a plan: one dispatch of a run. */
export interface ExplainedStep {
  /** Operation, result and the last operation behind it, as in `session.kernels()`. */
  readonly kernel: string;
  /** All operations computed inside the kernel, in order, with numbers: `["mul ×2", "erf"]`. */
  readonly fused: readonly string[];
  /** Tensors read, as `f32[2,3]`. */
  readonly reads: readonly string[];
  /** Tensors written. */
  readonly writes: readonly string[];
  /** Bytes read and written if every element is moved once. */
  readonly bytes: number;
  /** Floating-point operations; a multiply-add is two. */
  readonly flops: number;
  /** The kernel's WGSL, if it was asked for. */
  readonly wgsl: string | undefined;
}

/** Operations that only say where a value lies or what it is. */
const SILENT = new Set([
  "const",
  "iota",
  "reshape",
  "permute",
  "expand",
  "slice",
  "identity",
  "stop_gradient",
]);

/** A plan in words and numbers. Made by {@linkcode explain}. */
export class Explanation {
  /** Use {@linkcode explain}. */
  constructor(
    /** The kernels in order. */
    readonly steps: readonly ExplainedStep[],
    /** Bytes of the tensors that are there already and are read. */
    readonly inputs: number,
    /** Bytes of results and intermediate results, shared by liveness. */
    readonly planned: number,
    /** Bytes that they would need if none shared memory. */
    readonly unshared: number,
  ) {}

  /** Dispatches of one run. */
  get dispatches(): number {
    return this.steps.length;
  }

  /** Bytes read and written by one run. */
  get bytes(): number {
    return this.steps.reduce((sum, step) => sum + step.bytes, 0);
  }

  /** Floating-point operations of one run. */
  get flops(): number {
    return this.steps.reduce((sum, step) => sum + step.flops, 0);
  }

  /** The whole plan on two lines: kernels and what they do, memory. */
  get summary(): string {
    const { dispatches, bytes, flops, inputs, planned, unshared } = this;
    if (dispatches === 0) return "0 kernels: nothing is left to compute";
    return `${dispatches} kernels, one dispatch each: ${formatBytes(bytes)} read and written, ` +
      `${flops.toLocaleString("en-US")} floating-point operations\n` +
      `memory: ${formatBytes(inputs)} of inputs, ${formatBytes(planned)} for results and ` +
      `intermediate results (${formatBytes(unshared)} if none shared memory)`;
  }

  /** Names of the columns of {@linkcode Explanation.cells}. */
  get head(): string[] {
    return ["", "kernel", "fused", "reads", "writes", "bytes", "FLOP"];
  }

  /** The kernels as they are shown, row by row. */
  cells(): (string | number)[][] {
    return this.steps.map((step, i) => [
      i + 1,
      step.kernel,
      step.fused.join(", "),
      step.reads.join(" "),
      step.writes.join(" "),
      step.bytes,
      step.flops,
    ]);
  }

  /** Summary and kernels as aligned text, then the kernels' WGSL if it was asked for. */
  toString(): string {
    const sources = this.steps.flatMap(({ kernel, wgsl }, i) =>
      wgsl === undefined ? [] : [`// ${i + 1}: ${kernel}\n${wgsl.trim()}`]
    );
    const table = this.dispatches > 0 ? [textTable(this.head, this.cells())] : [];
    return [[this.summary, ...table].join("\n"), ...sources].join("\n\n");
  }
}

/**
 * The plan that reading these tensors would run. Nothing is computed. In a notebook:
 * `await show(explain(loss))`.
 *
 * @param tensors a tensor, or several that are computed together
 * @throws {Error} if WGSL is asked for and no session is open: it depends on the device.
 *
 * @example
 * ```ts
 * import { explain, matmul, softmax, tensor } from "@moiie/lab/tensor";
 * const a = tensor([[1, 2], [3, 4]]);
 * console.log(explain(softmax(matmul(a, a))).dispatches); // 2
 * ```
 */
export function explain(
  tensors: Tensor | readonly Tensor[],
  options: ExplainOptions = {},
): Explanation {
  const roots = [tensors].flat() as Tensor[];
  const { steps, isStored, slots, places, leaves } = plan(roots);
  const target = options.wgsl ? targetOf(currentSession().gpu) : undefined;
  const explained = steps.filter(hasWork).map((step): ExplainedStep => ({
    kernel: labelOf(step),
    fused: counted(fusedOperations(step, isStored).filter((op) => !SILENT.has(op))),
    reads: stepReads(step, isStored).map(String),
    writes: step.writes.filter((t) => t.size > 0).map(String),
    ...stepCost(step, isStored),
    wgsl: target && lower(step, isStored, target).kernel.code,
  }));
  const total = (sizes: readonly number[]): number => sizes.reduce((sum, n) => sum + n, 0);
  return new Explanation(
    explained,
    total(leaves.map(bytesOf)),
    total(slots.map((slot) => slot.bytes)),
    total([...places.keys()].map(bytesOf)),
  );
}

/** Names in the order in which they come first, with their number where it is not one. */
function counted(names: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].map(([name, count]) => count === 1 ? name : `${name} ×${count}`);
}
