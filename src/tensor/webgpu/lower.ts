/** From a step of the schedule to a WGSL kernel and the buffers it binds. */
import { adamw } from "../../../kernels/adamw.wgsl.ts";
import { elementwise } from "../../../kernels/elementwise.wgsl.ts";
import { reduce, REDUCE_RULES } from "../../../kernels/reduce.wgsl.ts";
import { assignRows } from "../../../kernels/rows.wgsl.ts";
import { indexAdd, scatterAdd } from "../../../kernels/scatter.wgsl.ts";
import { sgd } from "../../../kernels/sgd.wgsl.ts";
import { sortByGroup, topK } from "../../../kernels/selection.wgsl.ts";
import type { DType } from "../dtype.ts";
import type { Tensor } from "../graph.ts";
import { ATTENTIONS, isInline, REDUCTIONS } from "../operation_kinds.ts";
import { type Step, stepReads } from "../schedule.ts";
import { rowMajor, sizeOf } from "../shape.ts";
import { Bindings, type Lowered, type Target } from "./bindings.ts";
import { literal, registerType } from "./elementwise_text.ts";
import { Emitter } from "./emit.ts";
import { epilogue } from "./epilogue.ts";
import { lowerAttention } from "./lower_attention.ts";
import { launchOf } from "./launch.ts";
import { isProduct, lowerProduct } from "./lower_product.ts";
import { lowerRows } from "./lower_rows.ts";
import { variantOf } from "./variants.ts";

export type { Target } from "./bindings.ts";

/** The label of a step: operation, result, and what it is fused with. */
export function labelOf(step: Step): string {
  const out = step.writes.at(step.group ? -1 : 0);
  const name = out?.name ?? step.node.outputs[0].name;
  const operations = (step.group?.steps ?? [step])
    .flatMap(({ node, epilogue, pairs }) => [node, epilogue?.node, pairs?.node])
    .flatMap((node) => node ? [node.op] : []);
  return `${operations.join("+")} -> ${out?.dtype ?? ""}[${out?.shape ?? ""}]${
    name ? ` (${name})` : ""
  }`;
}

/** Lowers one step. */
export function lower(step: Step, isStored: (t: Tensor) => boolean, target: Target): Lowered {
  const { op } = step.node;
  const label = labelOf(step);
  if (step.group) return lowerRows(step, step.group, isStored, target, label);
  if (isInline(op)) return lowerElementwise(step, isStored, target, label);
  if (REDUCTIONS.has(op)) return lowerReduction(step, isStored, target, label);
  if (isProduct(step)) return lowerProduct(step, isStored, target, label);
  if (ATTENTIONS.has(op)) return lowerAttention(step, isStored, target, label);
  return lowerOther(step, isStored, target, label);
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
  const runs = variantOf("elementwise", target) === "runs";
  const several = runs && out.size >= 2048 && out.shape.at(-1)! % 4 === 0;
  const values = (several ? e.atRun(out, "o", 4) : [e.at(out, "o")])
    .map((v) => e.stored(v, out.dtype));
  return b.finish(
    label,
    elementwise({
      declarations: b.declarations(),
      size: out.size,
      ...launchOf(Math.ceil(out.size / values.length), runs ? target : undefined),
      each: values.length,
      body: e.lines.join("\n  "),
      output: b.name(out),
      values,
    }),
  );
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
  const few = variantOf("reduce", target) === "few";
  const most = few ? 64 : 256;
  const enough = few ? 1024 : 65536;
  const lanes = Math.min(
    most,
    powerOfTwo(count / 4),
    few || !trailing ? powerOfTwo(enough / Math.max(1, results)) : powerOfTwo(count / 4),
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

/** What a kernel stores that has its result in `acc`. */
function store(dtype: DType): string {
  return dtype === "f16" ? "f16(round_to_half(acc))" : "acc";
}

function lowerOther(
  step: Step,
  isStored: (t: Tensor) => boolean,
  target: Target,
  label: string,
): Lowered {
  const { op, inputs, outputs, attributes } = step.node;
  const unique = [...new Set(inputs)];
  switch (op) {
    case "top_k": {
      const b = new Bindings(target, stepReads(step, isStored), outputs);
      const n = inputs[0].shape.at(-1)!;
      const e = new Emitter((t) => b.find(t), new Map(), "v");
      const x = e.at(inputs[0], "at");
      return b.finish(
        label,
        topK({
          declarations: b.declarations(),
          statements: e.lines.join("\n      "),
          x,
          indices: b.name(outputs[0]),
          rows: inputs[0].size / n,
          n,
          k: attributes.k as number,
          largest: attributes.largest as boolean,
        }),
      );
    }
    case "sort_by_group": {
      const b = new Bindings(target, stepReads(step, isStored), outputs);
      const [position, item, tileGroup, offsets, counts] = outputs.map((t) => b.name(t));
      const e = new Emitter((t) => b.find(t), new Map(), "v");
      const group = e.at(inputs[0], "i");
      return b.finish(
        label,
        sortByGroup({
          declarations: b.declarations(),
          names: { position, item, tileGroup, offsets, counts },
          n: inputs[0].size,
          rows: outputs[1].size,
          count: attributes.count as number,
          tile: attributes.tile as number,
          statements: e.lines.join("\n    "),
          group,
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
          value: outputs[0].dtype === "f16" ? store("f16") : undefined,
          n: index.size,
          width: source.shape[1],
          rows: attributes.rows as number,
          type: registerType(source.dtype),
          software: target.software,
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
          each: target.software ? 4 : 1,
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
          ...launchOf(to.size, target.software ? target : undefined),
          each: 1,
          body: "",
          output: b.name(to),
          values: [`${b.name(from)}[o]`],
        }),
      );
    }
    case "assign_rows": {
      const [to, from, start] = inputs;
      const axis = attributes.axis as number;
      const b = new Bindings(target, [from, start], [to]);
      return b.finish(
        label,
        assignRows({
          declarations: b.declarations(),
          to: b.name(to),
          from: b.name(from),
          start: b.name(start),
          outer: sizeOf(from.shape.slice(0, axis)),
          n: from.shape[axis],
          rows: to.shape[axis],
          inner: rowMajor(to.shape)[axis],
        }),
      );
    }
    default:
      throw new Error(`no kernel for operation "${op}" making ${outputs[0]}`);
  }
}
