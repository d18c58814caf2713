/**
 * Cases of single operations: inputs from a file, results and gradients compared with it. Tensors
 * are named `CASE.in.X`, `CASE.out.Y`, `CASE.gout.Y` (gradient of something with respect to Y) and
 * `CASE.grad.X` (its gradient with respect to X).
 *
 * @module
 */
import type { Safetensors, SafetensorsTensor } from "../../models/safetensors.ts";
import {
  add,
  type DType,
  evaluate,
  gradients,
  mul,
  notEqual,
  sum,
  Tensor,
  tensor,
} from "../../tensor/mod.ts";
import { type Case, Skip } from "./case.ts";
import { compare, type Comparison, expected, isApproximate } from "./compare.ts";
import { type FileEntry, type Folder, objectAt } from "./folder.ts";

/** Computes a case: `y` alone, or results by name. */
export type Compute = (c: Inputs) => Results | Promise<Results>;
/** One result named `y`, or results by name. */
export type Results = Tensor | Readonly<Record<string, Tensor>>;

/** Cases and how they are computed: a name, or a pattern for a family of names. */
export type Table = readonly (readonly [string | RegExp, Compute])[];

const DTYPES: Readonly<Record<string, DType>> = { F32: "f32", I32: "i32", BOOL: "bool" };

/** A tensor from a file as a leaf. */
export function leaf({ dtype, shape, data }: SafetensorsTensor, name: string): Tensor {
  const type = DTYPES[dtype];
  if (!type) throw new TypeError(`input "${name}" is ${dtype}; inputs are F32, I32 or BOOL`);
  const values = data as Float32Array | Int32Array | Uint8Array;
  return tensor(type === "bool" ? Uint32Array.from(values) : values as Float32Array, {
    shape,
    dtype: type,
    name,
  });
}

/** What a case is computed from. */
export class Inputs {
  /** The tensors that were asked for, by name. */
  readonly leaves: Map<string, Tensor> = new Map();

  constructor(
    /** The case's name. */
    readonly name: string,
    /** Its parameters. */
    readonly params: Readonly<Record<string, unknown>>,
    readonly data: Safetensors,
    readonly prefix: string,
  ) {}

  /** Whether there is an input of this name. */
  has(name: string): boolean {
    return this.data.has(`${this.prefix}in.${name}`);
  }

  /** An input, the same tensor every time. */
  in(name: string): Tensor {
    let t = this.leaves.get(name);
    if (!t) {
      t = leaf(this.data.tensor(`${this.prefix}in.${name}`), name);
      this.leaves.set(name, t);
    }
    return t;
  }

  /** An input of numbers as truth values. */
  mask(name: string): Tensor {
    const t = this.in(name);
    return t.dtype === "bool" ? t : notEqual(t, 0);
  }

  /** The shape that a result has to have. */
  outShape(name: string = "y"): readonly number[] {
    return this.data.entry(`${this.prefix}out.${name}`).shape;
  }

  /** A parameter that is a number. */
  number(name: string, otherwise?: number): number {
    const value = this.params[name] ?? otherwise;
    if (typeof value !== "number") {
      throw new SyntaxError(`parameter "${name}" should be a number, it is ${value}`);
    }
    return value;
  }

  /** A parameter that is a list of numbers, or one number for a list of equal ones. */
  numbers(name: string, count: number, otherwise?: number): number[] {
    const value = this.params[name] ?? otherwise;
    if (typeof value === "number") return new Array(count).fill(value);
    if (Array.isArray(value) && value.length === count) return value;
    throw new SyntaxError(`parameter "${name}" should be ${count} numbers, it is ${value}`);
  }
}

/** The names of a file's cases: those with parameters, else those that its tensors show. */
function caseNames(file: FileEntry): string[] {
  const { cases } = file.params;
  if (cases !== undefined) return Object.keys(objectAt(cases, `${file.path}: cases`));
  const names = Object.keys(file.tensors).map((t) => t.replace(/\.(in|out|gout|grad)\..*$/, ""));
  return [...new Set(names)];
}

/** The cases of a file, computed as a table says. */
export function operationCases(folder: Folder, file: FileEntry, table: Table | undefined): Case[] {
  const group = file.path.replace(/\.safetensors$/, "");
  return caseNames(file).map((name) => ({
    group,
    name,
    run: async () => {
      const compute = table?.find(([key]) =>
        typeof key === "string" ? key === name : key.test(name)
      )?.[1];
      if (!compute) throw new Skip("no such operation here");
      const described = objectAt(file.params.cases ?? {}, `${file.path}: cases`)[name] ?? {};
      const { params = {} } = objectAt(described, `${file.path}: case "${name}"`);
      const inputs = new Inputs(
        name,
        objectAt(params, `${file.path}: parameters of "${name}"`),
        folder.open(file),
        `${name}.`,
      );
      return await runOperation(file, inputs, compute);
    },
  }));
}

/** Results that were computed, to be compared with reference tensors of the same name. */
export type Computed = ReadonlyMap<string, Tensor>;

/** Computes tensors together and compares each with the reference tensor of its name. */
export async function compareAll(
  file: FileEntry,
  data: Safetensors,
  results: Computed,
): Promise<Comparison[]> {
  const approximate = new Map([...results].map(([name, t]) => [name, isApproximate(t)]));
  await evaluate(...results.values());
  const comparisons: Comparison[] = [];
  for (const [name, t] of results) {
    const got = { shape: t.shape, values: await t.data(), approximate: approximate.get(name) };
    comparisons.push(compare(got, expected(file, data, name)));
  }
  return comparisons;
}

async function runOperation(
  file: FileEntry,
  inputs: Inputs,
  compute: Compute,
): Promise<Comparison[]> {
  const { data, prefix, leaves } = inputs;
  const computed = await compute(inputs);
  const outputs: Readonly<Record<string, Tensor>> = computed instanceof Tensor
    ? { y: computed }
    : computed;
  const wanted = Object.keys(file.tensors).filter((name) => name.startsWith(prefix));
  const results = new Map<string, Tensor>();
  const missing: Comparison[] = [];
  let total: Tensor | undefined;
  for (const name of wanted) {
    const [, kind, key] = /^(in|out|gout|grad)\.(.*)$/.exec(name.slice(prefix.length)) ?? [];
    if (kind === "out" && !outputs[key]) {
      missing.push({ name, passed: false, allowance: false, message: "is not computed" });
    } else if (kind === "out") results.set(name, outputs[key]);
    if (kind === "gout" && outputs[key]) {
      const part = sum(mul(outputs[key], leaf(data.tensor(name), name)));
      total = total ? add(total, part) : part;
    }
  }
  const byInput = wanted.filter((name) => name.startsWith(`${prefix}grad.`));
  if (byInput.length > 0) {
    if (!total) throw new SyntaxError(`${file.path}: "${prefix}grad" without any "${prefix}gout"`);
    const wrt = byInput.map((name) => inputs.in(name.slice(`${prefix}grad.`.length)));
    gradients(total, wrt).forEach((g, i) => results.set(byInput[i], g));
  }
  const comparisons = [...missing, ...await compareAll(file, data, results)];
  for (const t of [...results.values(), ...leaves.values()]) t.dispose();
  return comparisons;
}
