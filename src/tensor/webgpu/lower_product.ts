/** From a matrix product of the schedule to its kernel: operands as strided views, the variant. */
import { MATMUL_FIELDS, type MatmulKernel, type MatmulSize } from "../../../kernels/matmul.wgsl.ts";
import type { Tensor } from "../graph.ts";
import { type Step, stepReads } from "../schedule.ts";
import { sizeOf } from "../shape.ts";
import { stridedView } from "../view.ts";
import { Bindings, type Lowered, type Target } from "./bindings.ts";
import { swigluGradientText, swigluText } from "./elementwise_text.ts";
import { Emitter } from "./emit.ts";
import { epilogue } from "./epilogue.ts";
import { type ProductClass, productClass } from "./product_class.ts";
import { matmulText } from "./variants.ts";

type Fields = Record<(typeof MATMUL_FIELDS)[number], number>;

/** A product as its kernel sees it: two arrays, and the uniform's numbers. */
interface Product {
  readonly a: Tensor;
  readonly b: Tensor;
  readonly mode: MatmulKernel["mode"];
  readonly batch: number;
  readonly fields: Fields;
}

const PRODUCTS: ReadonlySet<string> = new Set(["matmul", "grouped_matmul", "grouped_outer"]);

/** Whether a step is a matrix product. */
export const isProduct = (step: Step): boolean => PRODUCTS.has(step.node.op);

/** The class of a step that is a matrix product, for choosing its variant. */
export function classOfProduct(
  step: Step,
  isStored: (t: Tensor) => boolean,
  target: Target,
): ProductClass | undefined {
  return isProduct(step) ? classOf(productOf(step, isStored), target) : undefined;
}

/** How large a product is; groups count as if all were alike. */
function sizeOfProduct({ mode, batch, fields: { m, n, k }, a: { shape } }: Product): MatmulSize {
  return { batch, m, n, k: mode === "outer" ? Math.ceil(shape[0] / batch) : k };
}

function classOf(product: Product, target: Target): ProductClass {
  return productClass({
    ...sizeOfProduct(product),
    a: fourOfA(product, target) ?? "any",
    b: fourOfB(product, target) ?? "any",
  });
}

/** Lowers a matrix product, plain, batched or grouped. */
export function lowerProduct(
  step: Step,
  isStored: (t: Tensor) => boolean,
  target: Target,
  label: string,
): Lowered {
  const { inputs } = step.node;
  const product = productOf(step, isStored);
  const { a, b, mode, fields } = product;
  const bindings = new Bindings(target, stepReads(step, isStored), step.writes, "Sizes");
  const alongA = fourOfA(product, target), laid = fourOfB(product, target);
  // Neighbours among the columns of a pair's kernel are none in memory.
  const alongB = step.pairs && laid === "across" ? undefined : laid;
  if (alongA) bindings.readFours(a);
  if (alongB) bindings.readFours(b);
  const text = matmulText(
    {
      declarations: bindings.declarations(),
      a: { element: bindings.load(a), along: alongA, four: bindings.loadFour(a) },
      b: { element: bindings.load(b), along: alongB, four: bindings.loadFour(b) },
      mode,
      type: storedTypeOf(a, b, target),
      // groups are whole tiles
      whole: (mode === "outer" ? fields.tile : fields.k) % 4 === 0,
      tileGroup: mode === "rows" ? bindings.name(inputs[2]) : undefined,
      offsets: mode === "plain" ? undefined : bindings.name(inputs[3]),
      pairs: step.pairs !== undefined,
      store: storeOf(step, bindings),
    },
    sizeOfProduct(product),
    // A workgroup's rows must not belong to two groups.
    mode === "rows" ? fields.tile : Infinity,
    target,
    classOf(product, target),
  );
  const uniform = new Uint32Array(Math.ceil(MATMUL_FIELDS.length / 4) * 4);
  MATMUL_FIELDS.forEach((f, i) => uniform[i] = fields[f]);
  return bindings.finish(label, text, uniform);
}

/** Statements that store what a step makes of its product; see `MatmulKernel`. */
function storeOf(step: Step, bindings: Bindings): string {
  const [out, kept] = step.writes, array = bindings.name(out);
  const e = new Emitter((t) => t === out ? undefined : bindings.find(t), new Map(), "s");
  const lines = (stores: readonly string[]) => [...e.lines, ...stores].join("\n    ");
  if (step.pairs) {
    const stores = [`${array}[o] = ${e.stored(e.let(swigluText("first", "second")), out.dtype)};`];
    for (const half of kept ? ["first", "second"] : []) {
      stores.push(`${bindings.name(kept)}[o_${half}] = ${e.stored(half, kept.dtype)};`);
    }
    return lines(stores);
  }
  if (step.epilogue?.node.op === "swiglu_gradient") {
    const [x] = step.epilogue.node.inputs;
    const halves = ["o_first", "o_second"];
    const [gate, up] = halves.map((o) => e.at(x, o));
    const slopes = swigluGradientText(gate, up, "result");
    return lines(
      slopes.map((slope, i) => `${array}[${halves[i]}] = ${e.stored(e.let(slope), out.dtype)};`),
    );
  }
  const { statements, value } = epilogue(step, bindings, "n");
  return `${statements}\n    ${array}[o] = ${value};`;
}

/** Numbers of a product of these sizes whose strides are not known yet. */
function sizes(m: number, n: number): Fields {
  const zero = Object.fromEntries(MATMUL_FIELDS.map((name) => [name, 0])) as Fields;
  return { ...zero, m, n, size1: 1, size2: 1, tile: 1 };
}

function productOf(step: Step, isStored: (t: Tensor) => boolean): Product {
  return step.node.op === "matmul" ? plain(step, isStored) : grouped(step);
}

function plain(step: Step, isStored: (t: Tensor) => boolean): Product {
  const [x, y] = step.node.inputs;
  const va = stridedView(x, isStored)!, vb = stridedView(y, isStored)!;
  const batchSizes = x.shape.slice(0, -2);
  const merged = mergeBatch(batchSizes, va.strides, vb.strides);
  if (merged.length > 3) {
    throw new RangeError(
      `matmul [${x.shape}] · [${y.shape}]: ${merged.length} separate batch dimensions, at most 3; ` +
        `reshape() the operands to fewer dimensions first`,
    );
  }
  while (merged.length < 3) merged.unshift({ size: 1, a: 0, b: 0 });
  const fields: Fields = {
    ...sizes(x.shape.at(-2)!, y.shape.at(-1)!),
    k: x.shape.at(-1)!,
    a_offset: va.offset,
    b_offset: vb.offset,
    a_row: va.strides.at(-2)!,
    a_k: va.strides.at(-1)!,
    b_k: vb.strides.at(-2)!,
    b_n: vb.strides.at(-1)!,
    size1: merged[1].size,
    size2: merged[2].size,
    a_z0: merged[0].a,
    a_z1: merged[1].a,
    a_z2: merged[2].a,
    b_z0: merged[0].b,
    b_z1: merged[1].b,
    b_z2: merged[2].b,
  };
  return { a: va.base, b: vb.base, mode: "plain", batch: sizeOf(batchSizes), fields };
}

function grouped({ node }: Step): Product {
  const { op, inputs: [a, b], attributes, outputs: [out] } = node;
  const groups = attributes.groups as number;
  const fields = sizes(out.shape.at(-2)!, out.shape.at(-1)!);
  Object.assign(fields, { tile: attributes.tile as number, groups });
  if (op === "grouped_outer") {
    Object.assign(fields, { a_row: 1, a_k: a.shape[1], b_k: b.shape[1], b_n: 1 });
    return { a, b, mode: "outer", batch: groups, fields };
  }
  const transposed = attributes.transposed as boolean;
  const [, rows, columns] = b.shape; // of one group's matrix as stored
  Object.assign(fields, {
    k: a.shape[1],
    a_row: a.shape[1],
    a_k: 1,
    b_k: transposed ? columns : 1,
    b_n: transposed ? 1 : columns,
    b_group: rows * columns,
  });
  return { a, b, mode: "rows", batch: 1, fields };
}

function storedTypeOf(a: Tensor, b: Tensor, target: Target): "f16" | "f32" | undefined {
  if (a.dtype !== b.dtype) return undefined;
  return a.dtype === "f32" || (a.dtype === "f16" && target.f16) ? a.dtype : undefined;
}

const allFours = (...numbers: number[]): boolean => numbers.every((n) => n % 4 === 0);

/** Which way four neighbours of A can be loaded at once, if any; see `MatmulOperand`. */
function fourOfA({ a, mode, fields: f }: Product, target: Target): "k" | "across" | undefined {
  if (!inFours(a, target) || !allFours(f.a_offset, f.a_z0, f.a_z1, f.a_z2)) return undefined;
  if (f.a_row === 1 && allFours(f.a_k)) return "across";
  // A group's first k can be any.
  return f.a_k === 1 && allFours(f.a_row) && mode !== "outer" ? "k" : undefined;
}

/** The same of B. */
function fourOfB({ b, mode, fields: f }: Product, target: Target): "k" | "across" | undefined {
  const outer = [f.b_offset, f.b_z0, f.b_z1, f.b_z2, f.b_group];
  if (!inFours(b, target) || !allFours(...outer)) return undefined;
  if (f.b_n === 1 && allFours(f.b_k)) return "across";
  return f.b_k === 1 && allFours(f.b_n) && mode !== "outer" ? "k" : undefined;
}

/** Whether a tensor can be bound as an array of vectors of four. */
export function inFours(t: Tensor, target: Target): boolean {
  return t.size > 0 && t.size % 4 === 0 && (t.dtype === "f32" || (t.dtype === "f16" && target.f16));
}

/** Batch dimensions with the strides of both operands, neighbours joined where both allow it. */
function mergeBatch(
  sizes: readonly number[],
  a: readonly number[],
  b: readonly number[],
): { size: number; a: number; b: number }[] {
  const out: { size: number; a: number; b: number }[] = [];
  sizes.forEach((size, i) => {
    if (size === 1) return;
    const last = out.at(-1);
    if (last && last.a === a[i] * size && last.b === b[i] * size) {
      Object.assign(last, { size: last.size * size, a: a[i], b: b[i] });
    } else out.push({ size, a: a[i], b: b[i] });
  });
  return out;
}
