/** Parameters: leaves of a plain tree of objects and lists, named by their path. */
import { type Random, type Shape, sizeOf, Tensor, tensor } from "../tensor/mod.ts";

/** A plain object or list that holds tensors somewhere inside; other values are settings. */
// deno-lint-ignore no-explicit-any
export type Tree = any;

/** Key of the tensors that training changes by other means than gradients. */
const BUFFERS = "buffers";

/**
 * The parameters of a model by path (`language.layers.1.ffn.down`), in the order of the tree's keys.
 * Settings (anything that is no tensor) are passed over, and so is what lies under a key `buffers`.
 */
export function parameters(tree: Tree, prefix: string = ""): Map<string, Tensor> {
  return tensorsOf(tree, prefix, (path) => !path.split(".").includes(BUFFERS));
}

/**
 * The buffers of a model by path: tensors under a key `buffers`, which belong to the model's state but
 * have no gradient.
 */
export function buffers(tree: Tree, prefix: string = ""): Map<string, Tensor> {
  return tensorsOf(tree, prefix, (path) => path.split(".").includes(BUFFERS));
}

function tensorsOf(
  tree: Tree,
  prefix: string,
  wanted: (path: string) => boolean,
): Map<string, Tensor> {
  const found = new Map<string, Tensor>();
  const visit = (node: unknown, path: string) => {
    if (node instanceof Tensor) {
      if (node.dtype === "f32" && wanted(path)) found.set(path, node);
      return;
    }
    if (node === null || typeof node !== "object" || ArrayBuffer.isView(node)) return;
    for (const [key, child] of Object.entries(node)) visit(child, path ? `${path}.${key}` : key);
  };
  visit(tree, prefix);
  for (const [path, t] of found) {
    t.name ??= path;
    t.owner ??= "parameters";
  }
  return found;
}

/** Number of elements of all parameters of a tree. */
export function parameterCount(tree: Tree): number {
  let n = 0;
  for (const t of parameters(tree).values()) n += t.size;
  return n;
}

/** A parameter with normally distributed values. @param std standard deviation */
export function normal(random: Random, shape: Shape, std: number): Tensor {
  return tensor(random.normals(sizeOf(shape), 0, std), { shape });
}

/** A parameter of one repeated value. */
export function constant(shape: Shape, value: number): Tensor {
  return tensor(new Float32Array(sizeOf(shape)).fill(value), { shape });
}
