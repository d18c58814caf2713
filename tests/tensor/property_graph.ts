/**
 * Graphs of operations that exist twice, on the device and in the float64 reference, with the values
 * they have there; and making failing graphs smaller.
 */
import * as t from "../../src/tensor/mod.ts";
import { type Arr, sizeOf } from "./reference.ts";

/** An operation, twice. */
export interface Operation {
  /** Name and settings, for messages. */
  readonly name: string;
  /** Numbers of the operands. */
  readonly from: readonly number[];
  /** Type of the result. Default f32. */
  readonly dtype?: t.DType;
  readonly device: (...x: t.Tensor[]) => t.Tensor;
  readonly reference: (...x: Arr[]) => Arr;
  /** The reference's gradient is that of a constant (stopGradient). */
  readonly constant?: boolean;
}

/** One value of a graph: an input, or the result of an operation on values before it. */
export interface Node {
  /** Missing for an input. */
  readonly operation?: Operation;
  readonly dtype: t.DType;
  readonly value: Arr;
}

/** Values in an order in which operands come first, and which of them are looked at. */
export interface Graph {
  readonly nodes: readonly Node[];
  readonly results: readonly number[];
}

/** A graph as text, a line for each value. */
export function describe({ nodes, results }: Graph): string {
  return nodes.map(({ operation: op, dtype, value }, i) =>
    `  ${String(i).padStart(2)}: ${op ? `${op.name} of ${op.from}` : "input"} -> ` +
    `${dtype}[${value.shape}]${results.includes(i) ? " (result)" : ""}`
  ).join("\n");
}

/** Numbers of the inputs with a gradient. */
export const parametersOf = ({ nodes }: Graph): number[] =>
  nodes.map((_, i) => i).filter((i) => !nodes[i].operation && nodes[i].dtype === "f32");

/** All values on the device. */
export function onDevice({ nodes }: Graph): t.Tensor[] {
  const all: t.Tensor[] = [];
  for (const { operation, dtype, value } of nodes) {
    all.push(
      operation
        ? operation.device(...operation.from.map((j) => all[j]))
        : t.tensor(value.data, { shape: value.shape, dtype }),
    );
  }
  return all;
}

/** The results when input `moved` has the value `to`; what does not depend on it stays as it is. */
export function resultsWith({ nodes, results }: Graph, moved: number, to: Arr): Arr[] {
  const changed = new Map<number, Arr>([[moved, to]]);
  nodes.forEach(({ operation }, i) => {
    if (!operation || operation.constant || !operation.from.some((j) => changed.has(j))) return;
    const operands = operation.from.map((j) => changed.get(j) ?? nodes[j].value);
    changed.set(i, operation.reference(...operands));
  });
  return results.map((r) => changed.get(r) ?? nodes[r].value);
}

/** The part of a graph that some results need. */
export function only({ nodes }: Graph, results: readonly number[]): Graph {
  const needed = new Set(results);
  for (let i = nodes.length - 1; i >= 0; i--) {
    if (needed.has(i)) { for (const j of nodes[i].operation?.from ?? []) needed.add(j); }
  }
  const order = [...needed].sort((a, b) => a - b), place = new Map(order.map((n, i) => [n, i]));
  const moved = ({ operation: op, ...node }: Node): Node => ({
    ...node,
    operation: op && { ...op, from: op.from.map((j) => place.get(j)!) },
  });
  return {
    nodes: order.map((n) => moved(nodes[n])),
    results: results.map((r) => place.get(r)!),
  };
}

/** The graph with a computed value as an input instead. */
function cut(graph: Graph, n: number): Graph {
  const { dtype, value } = graph.nodes[n];
  const data = dtype === "f32" ? value.data.map(Math.fround) : value.data;
  const input: Node = { dtype, value: { shape: value.shape, data } };
  const nodes = graph.nodes.map((node, i) => i === n ? input : node);
  // What comes behind has slightly other values, now that this one is rounded.
  nodes.forEach((node, i) => {
    const op = node.operation;
    if (op) nodes[i] = { ...node, value: op.reference(...op.from.map((j) => nodes[j].value)) };
  });
  return only({ nodes, results: graph.results }, graph.results);
}

/**
 * A smaller graph that fails as well: the first single value that does, with as much as possible of
 * what it is computed from made inputs.
 */
export async function shrink(
  graph: Graph,
  fails: (g: Graph) => Promise<boolean>,
): Promise<Graph> {
  let small = graph;
  for (let i = 0; i < graph.nodes.length; i++) {
    if (!graph.nodes[i].operation) continue;
    const part = only(graph, [i]);
    if (await fails(part)) {
      small = part;
      break;
    }
  }
  for (let n = small.nodes.length - 2; n >= 0; n--) {
    if (!small.nodes[n]?.operation || small.results.includes(n)) continue;
    const part = cut(small, n);
    if (!await fails(part)) continue;
    small = part;
    n = Math.min(n, small.nodes.length - 1);
  }
  return small;
}

/** True if all numbers are finite and not too large for float32 to be compared with float64. */
export function isTame(x: Arr, most: number): boolean {
  return x.data.length === sizeOf(x.shape) && x.data.every((v) => Math.abs(v) <= most);
}
