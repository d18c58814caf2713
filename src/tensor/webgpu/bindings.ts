/** What a kernel binds: the order, the names and the declarations of its buffers. */
import type { MatrixUnit } from "../../../kernels/matmul_matrix.wgsl.ts";
import type { Kernel } from "../../gpu/mod.ts";
import type { Tensor } from "../graph.ts";
import { calledFunctions } from "./functions.ts";
import type { ProductClass } from "./product_class.ts";

/** What the lowering knows about the device. */
export interface Target {
  /** A CPU driver, which likes few barriers and small workgroups. */
  readonly software: boolean;
  /** The subgroup size where it is fixed and subgroups may be used. */
  readonly subgroup: number | undefined;
  /** Whether kernels may store 16-bit floats (feature shader-f16); any device can read them. */
  readonly f16: boolean;
  /** Matrices that a subgroup multiplies at once; empty where kernels cannot. */
  readonly matrixUnits: readonly MatrixUnit[];
  /** Workgroup memory of one kernel, bytes. */
  readonly workgroupBytes: number;
  /** The adapter's name, for messages. */
  readonly name: string;
  /** Kernel variants that somebody asked for, by family. */
  readonly forced: Readonly<Record<string, string | undefined>>;
  /** The variant of a matrix product that was measured to be fastest, if it was. */
  readonly best?: (product: ProductClass) => string | undefined;
}

/** WGSL of one element of a stored tensor, as its register type, given the WGSL of its index. */
export type Load = (index: string) => string;

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
  /** Tensors that are bound as arrays of vectors of four. */
  readonly #fours = new Set<Tensor>();

  /** @throws {Error} if the device cannot store a type that is written. */
  constructor(
    readonly target: Target,
    reads: readonly Tensor[],
    readonly writes: readonly Tensor[],
    readonly uniform: string | undefined = undefined,
  ) {
    const half = target.f16 ? undefined : writes.find((t) => t.dtype === "f16");
    if (half) {
      throw new Error(
        `${half} (made by ${half.node.op}) cannot be computed on ${target.name}: it stores no ` +
          `16-bit floats (WebGPU feature shader-f16); compute in f32, with cast(x, "f32") first`,
      );
    }
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

  /** Loads elements of a bound tensor; undefined if it is not bound. */
  find(t: Tensor): Load | undefined {
    const array = this.#names.get(t);
    if (array === undefined) return undefined;
    if (t.dtype === "bool") return (i) => `${array}[${i}] != 0u`;
    if (this.#fours.has(t)) return (i) => `f32(${array}[(${i}) / 4u][(${i}) % 4u])`;
    if (t.dtype !== "f16") return (i) => `${array}[${i}]`;
    return this.target.f16
      ? (i) => `f32(${array}[${i}])`
      : (i) => `unpack2x16float(${array}[(${i}) / 2u])[(${i}) % 2u]`;
  }

  /** Loads elements of a bound tensor. */
  load(t: Tensor): Load {
    const load = this.find(t);
    if (!load) throw new Error(`${t} is not bound to the kernel`);
    return load;
  }

  /** Binds a tensor that is read, of f32 or f16 that the device stores, as vectors of four. */
  readFours(t: Tensor): void {
    this.#fours.add(t);
  }

  /** Loads elements 4i to 4i + 3 as vec4f, if the tensor was said to be read so. */
  loadFour(t: Tensor): Load | undefined {
    return this.#fours.has(t) ? (i) => `vec4f(${this.name(t)}[${i}])` : undefined;
  }

  /** WGSL type in which a tensor is stored; bool is held as u32. */
  #storedType(t: Tensor): string {
    const { dtype } = t;
    if (this.#fours.has(t)) return `vec4<${dtype}>`;
    return dtype === "bool" || (dtype === "f16" && !this.target.f16) ? "u32" : dtype;
  }

  declarations(): string {
    const line = (t: Tensor, i: number, mode: string) =>
      `@group(0) @binding(${i}) var<storage, ${mode}> ${this.name(t)}: array<${
        this.#storedType(t)
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
    const code = text.code + calledFunctions(text.code);
    const half = this.target.f16 && [...this.reads, ...this.writes].some((t) => t.dtype === "f16");
    return {
      kernel: {
        label,
        code: half ? `enable f16;\n${code}` : code,
        bindings,
        workgroups: text.workgroups,
      },
      tensors: [...this.reads, ...this.writes],
      uniform,
    };
  }
}
