/** From a step of the schedule to a WGSL kernel and the buffers it binds. */
import { adamw } from "../../../kernels/adamw.wgsl.ts";
import { elementwise } from "../../../kernels/elementwise.wgsl.ts";
import { matmul, MATMUL_FIELDS } from "../../../kernels/matmul.wgsl.ts";
import { reduce, REDUCE_RULES } from "../../../kernels/reduce.wgsl.ts";
import { indexAdd, scatterAdd } from "../../../kernels/scatter.wgsl.ts";
import { sgd } from "../../../kernels/sgd.wgsl.ts";
import { sortByGroup, topK } from "../../../kernels/selection.wgsl.ts";
import type { DType } from "../dtype.ts";
import type { Tensor } from "../graph.ts";
import { isInline, REDUCTIONS, type Step, stepReads } from "../schedule.ts";
import { rowMajor, sizeOf } from "../shape.ts";
import { stridedView } from "../view.ts";
import { Bindings, type Lowered, type Target } from "./bindings.ts";
import { Emitter, literal, registerType } from "./emit.ts";

export type { Target } from "./bindings.ts";

/** The label of a step: operation, result, and what it is fused with. */
export function labelOf(step: Step): string {
  const [out] = step.writes;
  const name = out?.name ?? step.node.outputs[0].name;
  const fused = step.epilogue ? `+${step.epilogue.node.op}` : "";
  return `${step.node.op}${fused} -> ${out?.dtype ?? ""}[${out?.shape ?? ""}]${
    name ? ` (${name})` : ""
  }`;
}

/** Lowers one step. */
export function lower(step: Step, isStored: (t: Tensor) => boolean, target: Target): Lowered {
  const { op } = step.node;
  const label = labelOf(step);
  if (isInline(op)) return lowerElementwise(step, isStored, target, label);
  if (REDUCTIONS.has(op)) return lowerReduction(step, isStored, target, label);
  if (op === "matmul" || op === "grouped_matmul" || op === "grouped_outer") {
    return lowerProduct(step, isStored, target, label);
  }
  return lowerOther(step, target, label);
}

function lowerElementwise(
  step: Step,
  isStored: (t: Tensor) => boolean,
  target: Target,
  label: string,
): Lowered {
  const [out] = step.writes;
  const b = new Bindings(target, stepReads({ ...step, epilogue: undefined }, isStored), [out]);
  const e = new Emitter((t) => t === out ? undefined : b.find(t), new Map(), "v");
  const several = target.software && out.size >= 2048 && out.shape.at(-1)! % 4 === 0;
  const values = (several ? e.atRun(out, "o", 4) : [e.at(out, "o")])
    .map((v) => e.stored(v, out.dtype));
  return b.finish(
    label,
    elementwise({
      declarations: b.declarations(),
      size: out.size,
      width: target.software ? 64 : 256,
      each: values.length,
      body: e.lines.join("\n  "),
      output: b.name(out),
      values,
    }),
  );
}

/** Statements and value of an epilogue, given the result as `result`. */
function epilogue(step: Step, b: Bindings): { statements: string; value: string } {
  const [out] = step.writes;
  const source = step.node.outputs[0];
  const e = new Emitter(
    (t) => t === out ? undefined : b.find(t),
    new Map([[source, "result"]]),
    "e",
  );
  const value = e.stored(step.epilogue ? e.at(step.epilogue, "o") : "result", out.dtype);
  return { statements: e.lines.join("\n    "), value };
}

const powerOfTwo = (n: number): number => 2 ** Math.ceil(Math.log2(Math.max(1, n)));

function lowerReduction(
  step: Step,
  isStored: (t: Tensor) => boolean,
  target: Target,
  label: string,
): Lowered {
  const [x] = step.node.inputs, [out, second] = step.writes;
  const axes = step.node.attributes.axes as number[];
  const results = out.size, count = sizeOf(axes.map((a) => x.shape[a]));
  const kept = x.shape.map((_, i) => i).filter((i) => !axes.includes(i));
  const trailing = kept.every((k) => k < (axes[0] ?? Infinity));
  const b = new Bindings(target, stepReads(step, isStored), step.writes);
  const find = (t: Tensor) => step.writes.includes(t) ? undefined : b.find(t);

  // Coordinates of the kept axes come from the result's position, the others from the loop.
  const outer = new Emitter(find, new Map(), "p");
  const inner = new Emitter(find, new Map(), "v");
  let element: string;
  if (count === 0) element = literal(0, x.dtype); // never taken; its coordinates would divide by 0
  else if (trailing) {
    element = inner.at(x, inner.let(`o * ${count}u + r`));
  } else {
    const fixed = outer.coordinates(kept.map((i) => x.shape[i]), "o");
    const moving = inner.coordinates(axes.map((i) => x.shape[i]), "r");
    element = inner.atCoordinates(
      x,
      x.shape.map((_, i) => axes.includes(i) ? moving[axes.indexOf(i)] : fixed[kept.indexOf(i)]),
    );
  }
  // Few results: many lanes each. Many: one lane each, without barriers, on a CPU driver.
  const most = target.software ? 64 : 256;
  const enough = target.software ? 1024 : 65536;
  const lanes = Math.min(
    most,
    powerOfTwo(count / 4),
    target.software || !trailing
      ? powerOfTwo(enough / Math.max(1, results))
      : powerOfTwo(count / 4),
  );
  const outputs = Math.max(1, Math.min(most / lanes, trailing && lanes > 1 ? most / lanes : 64));
  const tail = epilogue(step, b);
  return b.finish(
    label,
    reduce({
      declarations: b.declarations(),
      rule: REDUCE_RULES[step.node.op],
      type: registerType(x.dtype),
      results,
      count,
      lanes,
      outputs,
      along: trailing,
      outer: outer.lines.join("\n  "),
      inner: inner.lines.join("\n    "),
      element,
      store: second
        ? `${b.name(out)}[o] = result.x; ${b.name(second)}[o] = result.y;`
        : `${tail.statements}\n    ${b.name(out)}[o] = ${tail.value};`,
    }),
  );
}

function lowerProduct(
  step: Step,
  isStored: (t: Tensor) => boolean,
  target: Target,
  label: string,
): Lowered {
  const { op, inputs, attributes } = step.node;
  const [out] = step.writes;
  const source = step.node.outputs[0];
  const b = new Bindings(target, stepReads(step, isStored), [out], "Sizes");
  const tail = epilogue(step, b);
  const fields: Record<(typeof MATMUL_FIELDS)[number], number> = {
    m: source.shape.at(-2)!,
    n: source.shape.at(-1)!,
    k: 0,
    a_offset: 0,
    b_offset: 0,
    a_row: 0,
    a_k: 0,
    b_k: 0,
    b_n: 0,
    b_group: 0,
    size1: 1,
    size2: 1,
    a_z0: 0,
    a_z1: 0,
    a_z2: 0,
    b_z0: 0,
    b_z1: 0,
    b_z2: 0,
    tile: 1,
    groups: 0,
  };
  let mode: "plain" | "rows" | "outer" = "plain";
  let [a, c] = inputs;
  let batch = 1;
  if (op === "matmul") {
    const va = stridedView(a, isStored)!, vb = stridedView(c, isStored)!;
    const sizes = a.shape.slice(0, -2);
    batch = sizeOf(sizes);
    const merged = mergeBatch(sizes, va.strides, vb.strides);
    if (merged.length > 3) {
      throw new RangeError(`${label}: ${merged.length} separate batch dimensions, at most 3`);
    }
    while (merged.length < 3) merged.unshift({ size: 1, a: 0, b: 0 });
    Object.assign(fields, {
      k: a.shape.at(-1)!,
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
    });
    a = va.base;
    c = vb.base;
  } else {
    fields.tile = attributes.tile as number;
    fields.groups = attributes.groups as number;
    if (op === "grouped_matmul") {
      mode = "rows";
      const transposed = attributes.transposed as boolean;
      const [, rows, columns] = c.shape; // of one group's matrix as stored
      fields.k = a.shape[1];
      fields.a_row = a.shape[1];
      fields.a_k = 1;
      fields.b_k = transposed ? columns : 1;
      fields.b_n = transposed ? 1 : columns;
      fields.b_group = rows * columns;
    } else {
      mode = "outer";
      batch = fields.groups;
      fields.a_row = 1;
      fields.a_k = a.shape[1];
      fields.b_k = c.shape[1];
      fields.b_n = 1;
    }
  }
  // A workgroup's rows must not belong to two groups.
  const tall = mode === "rows" ? [64, 32, 16].find((rows) => fields.tile % rows === 0)! : 64;
  const text = matmul(
    {
      declarations: b.declarations(),
      a: b.load(a),
      b: b.load(c),
      mode,
      tileGroup: mode === "rows" ? b.name(inputs[2]) : undefined,
      offsets: mode === "plain" ? undefined : b.name(inputs[3]),
      subgroup: target.software ? target.subgroup : undefined,
      tileRows: tall,
      epilogue: tail.statements,
      value: tail.value,
      output: b.name(out),
    },
    batch,
    fields.m,
    fields.n,
  );
  const uniform = new Uint32Array(Math.ceil(MATMUL_FIELDS.length / 4) * 4);
  MATMUL_FIELDS.forEach((f, i) => uniform[i] = fields[f]);
  return b.finish(label, text, uniform);
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

/** What a kernel stores that has its result in `acc`. */
function store(dtype: DType): string {
  return dtype === "f16" ? "f16(round_to_half(acc))" : "acc";
}

function lowerOther(step: Step, target: Target, label: string): Lowered {
  const { op, inputs, outputs, attributes } = step.node;
  const unique = [...new Set(inputs)];
  switch (op) {
    case "top_k": {
      const b = new Bindings(target, unique, outputs);
      const n = inputs[0].shape.at(-1)!;
      return b.finish(
        label,
        topK({
          declarations: b.declarations(),
          x: b.load(inputs[0]),
          indices: b.name(outputs[0]),
          rows: inputs[0].size / n,
          n,
          k: attributes.k as number,
          largest: attributes.largest as boolean,
        }),
      );
    }
    case "sort_by_group": {
      const b = new Bindings(target, unique, outputs);
      const [position, item, tileGroup, offsets, counts] = outputs.map((t) => b.name(t));
      return b.finish(
        label,
        sortByGroup({
          declarations: b.declarations(),
          names: { group: b.name(inputs[0]), position, item, tileGroup, offsets, counts },
          n: inputs[0].size,
          rows: outputs[1].size,
          count: attributes.count as number,
          tile: attributes.tile as number,
          type: inputs[0].dtype,
        }),
      );
    }
    case "index_add": {
      const b = new Bindings(target, unique, outputs);
      const [source, index] = inputs;
      return b.finish(
        label,
        indexAdd({
          declarations: b.declarations(),
          source: b.load(source),
          index: b.name(index),
          output: b.name(outputs[0]),
          value: store(outputs[0].dtype),
          n: index.size,
          width: source.shape[1],
          rows: attributes.rows as number,
          type: registerType(source.dtype),
        }),
      );
    }
    case "scatter_add": {
      const b = new Bindings(target, unique, outputs);
      const [source, index] = inputs;
      const axis = attributes.axis as number;
      return b.finish(
        label,
        scatterAdd({
          declarations: b.declarations(),
          source: b.load(source),
          index: b.name(index),
          output: b.name(outputs[0]),
          value: store(outputs[0].dtype),
          outer: sizeOf(source.shape.slice(0, axis)),
          n: source.shape[axis],
          size: outputs[0].shape[axis],
          inner: rowMajor(source.shape)[axis],
          type: registerType(source.dtype),
        }),
      );
    }
    case "adamw": {
      const [p, m, v, g, h, scale] = inputs;
      const b = new Bindings(target, [g, h, scale], [p, m, v]);
      return b.finish(
        label,
        adamw({
          declarations: b.declarations(),
          names: {
            p: b.name(p),
            m: b.name(m),
            v: b.name(v),
            g: b.name(g),
            h: b.name(h),
            scale: b.name(scale),
          },
          size: p.size,
          ends: attributes.ends as number[],
          width: target.software ? 64 : 256,
        }),
      );
    }
    case "sgd": {
      const [p, v, g, h, scale] = inputs;
      const b = new Bindings(target, [g, h, scale], [p, v]);
      return b.finish(
        label,
        sgd({
          declarations: b.declarations(),
          names: { p: b.name(p), v: b.name(v), g: b.name(g), h: b.name(h), scale: b.name(scale) },
          size: p.size,
          ends: attributes.ends as number[],
          width: target.software ? 64 : 256,
        }),
      );
    }
    case "assign": {
      const [to, from] = inputs;
      const b = new Bindings(target, [from], [to]);
      return b.finish(
        label,
        elementwise({
          declarations: b.declarations(),
          size: to.size,
          width: target.software ? 64 : 256,
          each: 1,
          body: "",
          output: b.name(to),
          values: [`${b.name(from)}[o]`],
        }),
      );
    }
    default:
      throw new Error(`no kernel for operation "${op}" making ${outputs[0]}`);
  }
}
