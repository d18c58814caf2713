/**
 * The expression graph. Operations build nodes; nothing is computed until a value is read or
 * {@linkcode evaluate} is called. A tensor that has storage is a leaf: the graph behind it is gone.
 */
import type { DType, HostData } from "./dtype.ts";
import { dtypeOf, toHost } from "./dtype.ts";
import { checkShape, formatShape, type Shape, sizeOf } from "./shape.ts";

/** Parameters of an operation, part of the plan's structural key: plain data only. */
export type Attributes = Readonly<Record<string, unknown>>;

/** Device memory of one tensor. Opaque here: only the executor looks inside. */
export interface Storage {
  /** Which device owns it; used to refuse mixing devices. */
  readonly device: object;
  /** Gives the memory back. Safe to call twice. */
  release(): void;
}

/** One application of an operation: its inputs and the tensors it makes. */
export interface Node {
  /** Name of the operation, a key of the gradient rules and of the executor's lowering. */
  readonly op: string;
  /** Operands, in the operation's order. */
  readonly inputs: readonly Tensor[];
  /** Parameters of the operation. */
  readonly attributes: Attributes;
  /** The tensors this node makes; filled when it is made. */
  readonly outputs: Tensor[];
}

/** Reads back one tensor; installed by the session (the graph knows no device). */
export interface Reader {
  /** Values of `tensor`, computing it first when needed. */
  read(tensor: Tensor): Promise<HostData>;
}

let reader: Reader | undefined;
/** Installs what {@linkcode Tensor.data} uses. Called by the session. */
export function setReader(r: Reader | undefined): void {
  reader = r;
}

let nextId = 1;
/** The number that the next tensor will get. */
export function nextTensorId(): number {
  return nextId;
}

/**
 * A multi-dimensional array, lazily computed. Made by {@linkcode tensor} and by operations;
 * immutable except for the in-place update of parameters by an optimizer.
 */
export class Tensor {
  /** Unique number, in order of creation. */
  readonly id: number = nextId++;
  /** Sizes, outermost first. */
  readonly shape: Shape;
  /** Element type. */
  readonly dtype: DType;
  /** Name for messages and profiles, such as the layer's path. */
  name: string | undefined;
  /** In whose account its memory goes, such as "optimizer"; see `Session.memory`. */
  owner: string | undefined;
  /** What computes it; a leaf has op "leaf". */
  node: Node;
  /** Position among the node's outputs. */
  readonly index: number;
  /** Host values not yet on a device (leaves only). */
  host: HostData | undefined;
  /** Device memory, once computed or uploaded. */
  storage: Storage | undefined;

  /** Use {@linkcode tensor} or an operation instead. */
  constructor(node: Node, index: number, shape: Shape, dtype: DType) {
    this.node = node;
    this.index = index;
    this.shape = shape;
    this.dtype = dtype;
  }

  /** Number of dimensions. */
  get rank(): number {
    return this.shape.length;
  }

  /** Number of elements. */
  get size(): number {
    return sizeOf(this.shape);
  }

  /**
   * The values in row-major order, computing them first when needed.
   *
   * @throws {Error} if no session is open, or the device failed.
   */
  data(): Promise<HostData> {
    if (!reader) {
      throw new Error("reading a tensor needs a device: call `await lab()` first");
    }
    return reader.read(this);
  }

  /**
   * The single value of a one-element tensor.
   *
   * @throws {RangeError} if it has more than one element.
   */
  async item(): Promise<number> {
    if (this.size !== 1) {
      throw new RangeError(`item() needs one element, this is ${this}`);
    }
    return (await this.data())[0];
  }

  /** Gives the device memory back at once. The tensor cannot be used afterwards. */
  dispose(): void {
    this.storage?.release();
    this.storage = undefined;
    this.host = undefined;
    this.node = { op: "disposed", inputs: [], attributes: {}, outputs: [] };
  }

  /** `using x = …` disposes at the end of the block. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  /** `f32[2,3]`, with the name when it has one. */
  toString(): string {
    return `${this.name ? this.name + " " : ""}${this.dtype}${formatShape(this.shape)}`;
  }

  /** Type, shape and name; never starts a computation. */
  [Symbol.for("Deno.customInspect")](): string {
    return `Tensor ${this}`;
  }
}

/** Makes a node with one output. */
export function makeTensor(
  op: string,
  inputs: readonly Tensor[],
  attributes: Attributes,
  shape: Shape,
  dtype: DType,
): Tensor {
  return makeTensors(op, inputs, attributes, [[shape, dtype]])[0];
}

/** Makes a node with several outputs. */
export function makeTensors(
  op: string,
  inputs: readonly Tensor[],
  attributes: Attributes,
  outputs: readonly (readonly [Shape, DType])[],
): Tensor[] {
  for (const x of inputs) {
    if (x.node.op === "disposed") {
      throw new TypeError(`${op}: operand ${x} was disposed`);
    }
  }
  const node: Node = { op, inputs, attributes, outputs: [] };
  node.outputs.push(...outputs.map(([shape, dtype], i) => new Tensor(node, i, shape, dtype)));
  return node.outputs;
}

/**
 * Refuses graphs that need a tensor whose memory is gone.
 *
 * @throws {TypeError} naming the first one.
 */
export function refuseDisposed(order: readonly Tensor[]): void {
  const gone = order.find((t) => t.node.op === "disposed");
  if (gone) throw new TypeError(`${gone} was disposed, but a result needs it`);
}

/** Nested lists of numbers. */
export type Nested = number | readonly Nested[];

/** Options of {@linkcode tensor}. */
export interface TensorOptions {
  /** Shape; by default that of the nested lists, or one dimension for a flat array. */
  shape?: Shape;
  /** Element type; by default that of the typed array, else f32. */
  dtype?: DType;
  /** Name for messages. */
  name?: string;
  /** In whose account its memory goes; see `Session.memory`. Default "tensor". */
  owner?: string;
}

/**
 * A tensor from numbers: a nested list, or a flat (typed) array with a shape. The numbers are copied.
 *
 * @example
 * ```ts
 * import { tensor } from "@moiie/lab/tensor";
 * const a = tensor([[1, 2], [3, 4]]);
 * console.log(String(a)); // f32[2,2]
 * ```
 * @throws {RangeError} if the lists are ragged or the count does not fit the shape.
 */
export function tensor(values: Nested | HostData, options: TensorOptions = {}): Tensor {
  let flat: ArrayLike<number>;
  let shape: Shape;
  if (ArrayBuffer.isView(values)) {
    flat = values as HostData;
    shape = [flat.length];
  } else {
    const out: number[] = [];
    shape = flatten(values, out);
    flat = out;
  }
  shape = options.shape ?? shape;
  checkShape(shape, "tensor");
  if (sizeOf(shape) !== flat.length) {
    throw new RangeError(
      `tensor: ${flat.length} values do not fill shape ${formatShape(shape)} ` +
        `(${sizeOf(shape)} elements)`,
    );
  }
  const dtype = options.dtype ?? dtypeOf(flat);
  const t = makeTensor("leaf", [], {}, shape, dtype);
  const host = toHost(flat, dtype);
  t.host = host === flat ? host.slice() : host; // what the caller does to the array stays theirs
  t.name = options.name;
  t.owner = options.owner;
  return t;
}

function flatten(values: Nested, out: number[]): number[] {
  if (typeof values === "number") {
    out.push(values);
    return [];
  }
  let inner: number[] | undefined;
  for (const v of values) {
    const shape = flatten(v, out);
    if (inner && (inner.length !== shape.length || inner.some((d, i) => d !== shape[i]))) {
      throw new RangeError(
        `tensor: rows of shape ${formatShape(inner)} and ${formatShape(shape)} in one list`,
      );
    }
    inner = shape;
  }
  return [values.length, ...(inner ?? [])];
}

/** A leaf without values yet: the input of a compiled function. */
export function placeholder(shape: Shape, dtype: DType, name?: string): Tensor {
  const t = makeTensor("leaf", [], {}, shape, dtype);
  t.name = name;
  return t;
}

/**
 * An operation that changes some of its operands in place, once everything else of its plan is done.
 * The tensor it gives holds nothing; it has to be among the results of a compiled function.
 */
export function makeEffect(op: string, inputs: readonly Tensor[], attributes: Attributes): Tensor {
  return makeTensor(op, inputs, attributes, [0], "f32");
}
