/** What a kernel binds: the order, the names and the declarations of its buffers. */
import type { Kernel } from "../../gpu/mod.ts";
import type { Tensor } from "../graph.ts";
import { storedType } from "./emit.ts";
import { calledFunctions } from "./functions.ts";

/** A kernel and what it binds, in binding order. */
export interface Lowered {
  /** The kernel. */
  readonly kernel: Kernel;
  /** Tensors bound, those read first, then those written; a uniform buffer last if there is one. */
  readonly tensors: readonly Tensor[];
  /** Contents of the uniform buffer. */
  readonly uniform: Uint32Array | undefined;
}

/** Declares the bindings of a kernel and names them. */
export class Bindings {
  readonly reads: Tensor[];
  readonly #names = new Map<Tensor, string>();
  constructor(
    reads: readonly Tensor[],
    readonly writes: readonly Tensor[],
    readonly uniform: string | undefined = undefined,
  ) {
    this.reads = reads.filter((t) => !writes.includes(t));
    this.reads.forEach((t, i) => this.#names.set(t, `in${i}`));
    writes.forEach((t, i) => this.#names.set(t, `out${i}`));
  }

  /** Name of the array of a bound tensor. */
  name(t: Tensor): string {
    const n = this.#names.get(t);
    if (n === undefined) throw new Error(`${t} is not bound to the kernel`);
    return n;
  }

  find(t: Tensor): string | undefined {
    return this.#names.get(t);
  }

  declarations(): string {
    const line = (t: Tensor, i: number, mode: string) =>
      `@group(0) @binding(${i}) var<storage, ${mode}> ${this.name(t)}: array<${
        storedType(t.dtype)
      }>;`;
    return [
      ...this.reads.map((t, i) => line(t, i, "read")),
      ...this.writes.map((t, i) => line(t, i + this.reads.length, "read_write")),
      ...(this.uniform
        ? [
          `@group(0) @binding(${
            this.reads.length + this.writes.length
          }) var<uniform> d: ${this.uniform};`,
        ]
        : []),
    ].join("\n");
  }

  finish(
    label: string,
    text: { code: string; workgroups: [number, number, number] },
    uniform?: Uint32Array,
  ): Lowered {
    const bindings = [
      ...this.reads.map(() => "read" as const),
      ...this.writes.map(() => "write" as const),
      ...(this.uniform ? ["uniform" as const] : []),
    ];
    if (text.workgroups.some((n) => n > 65535)) {
      throw new RangeError(
        `${label}: needs ${text.workgroups} workgroups, at most 65535 are possible`,
      );
    }
    return {
      kernel: {
        label,
        code: text.code + calledFunctions(text.code),
        bindings,
        workgroups: text.workgroups,
      },
      tensors: [...this.reads, ...this.writes],
      uniform,
    };
  }
}
