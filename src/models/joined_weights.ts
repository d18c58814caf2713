/**
 * Published weights as this library's layers hold them: projections of queries, keys and values in
 * one matrix, gate and up in one, the experts of a layer in one tensor. Published tensors that go one
 * after the other into a larger one can be read straight into it.
 */
import type { Shape } from "../tensor/mod.ts";

/** A tensor made of published ones, one after the other in row-major order. */
export interface JoinedTensor {
  /** Its name. */
  readonly name: string;
  /** Its shape. */
  readonly shape: Shape;
  /** The published tensors. */
  readonly parts: readonly string[];
}

/** Parts of a matrix that are published apart, by the name of the whole. */
const MATRICES: readonly (readonly [whole: string, parts: readonly string[]])[] = [
  ["self_attn.qkv_proj", ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]],
  ["gate_up_proj", ["gate_proj", "up_proj"]],
  ["gate_up_proj", ["w1", "w3"]],
  ["down_proj", ["w2"]],
];

/** A name with its matrix's name in place of its part's, and the position among the parts. */
function matrixOf(name: string): { whole: string; position: number } | undefined {
  for (const [whole, parts] of MATRICES) {
    for (const [position, part] of parts.entries()) {
      const found = new RegExp(`^(.*\\.)${part.replaceAll(".", "\\.")}(\\.weight|\\.bias)$`).exec(
        name,
      );
      if (found) return { whole: `${found[1]}${whole}${found[2]}`, position };
    }
  }
  return undefined;
}

/** `LAYER.mlp.experts.gate_up_proj`, where an expert's weight goes; a dense layer is one expert. */
function stackOf(name: string): { whole: string; expert: number } | undefined {
  const found =
    /^(.*\.layers\.\d+\.(?:mlp|block_sparse_moe))\.(?:experts\.(\d+)\.)?(gate_up_proj|down_proj)\.weight$/
      .exec(name);
  if (!found) return undefined;
  const [, layer, expert, matrix] = found;
  return { whole: `${layer}.experts.${matrix}`, expert: Number(expert ?? 0) };
}

/** A convolution whose stride is its kernel, as the matrix that it is. */
function asMatrix(name: string, shape: Shape): Shape {
  if (!/\bpatch_embedding\.weight$/.test(name)) return shape;
  return [shape[0], shape.slice(1).reduce((product, size) => product * size, 1)];
}

/** Joins what is published apart. @param tensors the published tensors, in any order */
export function joinedTensors(tensors: ReadonlyMap<string, Shape>): JoinedTensor[] {
  const matrices = new Map<string, { shape: Shape; parts: string[] }>();
  for (const [name, shape] of tensors) {
    const { whole, position } = matrixOf(name) ?? { whole: name, position: 0 };
    const rows = matrices.get(whole);
    const parts = rows?.parts ?? [];
    parts[position] = name;
    const joined = rows
      ? [rows.shape[0] + shape[0], ...rows.shape.slice(1)]
      : asMatrix(name, shape);
    matrices.set(whole, { shape: joined, parts });
  }
  const stacks = new Map<string, { shape: Shape; experts: string[][] }>();
  for (const [name, { shape, parts }] of matrices) {
    const { whole, expert } = stackOf(name) ?? { whole: name, expert: undefined };
    const experts = stacks.get(whole)?.experts ?? [];
    experts[expert ?? 0] = parts;
    stacks.set(whole, {
      shape: expert === undefined ? shape : [experts.length, ...shape],
      experts,
    });
  }
  return [...stacks].map(([name, { shape, experts }]) => ({ name, shape, parts: experts.flat() }));
}
