/**
 * What two graphs have in common: a key that is the same for graphs that differ only in the values of
 * their leaves, and copies of a graph that hold on to no one's memory. With both, a plan made once
 * serves every graph of the same structure.
 */
import { topological } from "./grad.ts";
import { makeTensors, type Node, placeholder, refuseDisposed, type Tensor } from "./graph.ts";

/** A graph seen as structure and leaves. */
export interface Structure {
  /** Equal for graphs of one structure, asked for the same results. */
  key: string;
  /** The leaves, in an order that the structure fixes. */
  leaves: Tensor[];
}

/** The tensors of a graph as they were made, an order that the schedule goes by. */
function inCreationOrder(roots: readonly Tensor[]): Tensor[] {
  return topological(roots).sort((a, b) => a.id - b.id);
}

/** Attributes as text; JSON alone would make null of infinity and NaN, and 0 of -0. */
function attributesText(attributes: Node["attributes"]): string {
  return JSON.stringify(
    attributes,
    (_, v) =>
      typeof v === "number" && (!Number.isFinite(v) || Object.is(v, -0))
        ? `number ${Object.is(v, -0) ? "-0" : v}`
        : v,
  );
}

/**
 * Structure of the graph of some results.
 *
 * @throws {TypeError} if it needs a disposed tensor.
 */
export function structureOf(roots: readonly Tensor[]): Structure {
  const nodes = new Map<Node, number>();
  const leaves: Tensor[] = [];
  const lines: string[] = [];
  const name = (t: Tensor) => `${nodes.get(t.node)}.${t.node.op === "leaf" ? 0 : t.index}`;
  const order = inCreationOrder(roots);
  refuseDisposed(order);
  for (const t of order) {
    if (nodes.has(t.node)) continue;
    nodes.set(t.node, nodes.size);
    const outputs = t.node.outputs.map((o) => `${o.dtype}${o.shape}`).join(" ");
    if (t.node.op === "leaf") {
      leaves.push(t);
      lines.push(`leaf ${outputs}`);
    } else {
      const inputs = t.node.inputs.map(name).join(" ");
      lines.push(`${t.node.op} ${attributesText(t.node.attributes)} ${inputs} > ${outputs}`);
    }
  }
  return { key: `${lines.join("\n")}\n= ${roots.map(name).join(" ")}`, leaves };
}

/**
 * The same graph over fresh leaves without values.
 *
 * @returns the copies of the results, and of the leaves in the order of {@linkcode structureOf}
 */
export function copyGraph(roots: readonly Tensor[]): { roots: Tensor[]; leaves: Tensor[] } {
  const copies = new Map<Tensor, Tensor>();
  const leaves: Tensor[] = [];
  for (const t of inCreationOrder(roots)) {
    if (copies.has(t)) continue;
    if (t.node.op === "leaf") {
      const leaf = placeholder(t.shape, t.dtype, t.name);
      leaves.push(leaf);
      copies.set(t, leaf);
      continue;
    }
    const { op, inputs, attributes, outputs } = t.node;
    const made = makeTensors(
      op,
      inputs.map((x) => copies.get(x)!),
      attributes,
      outputs.map((o) => [o.shape, o.dtype]),
    );
    outputs.forEach((o, i) => {
      made[i].name = o.name;
      copies.set(o, made[i]);
    });
  }
  return { roots: roots.map((t) => copies.get(t)!), leaves };
}
