/** Computing random graphs on the device and comparing them with the reference. */
import * as t from "../../src/tensor/mod.ts";
import { hostArray } from "../../src/tensor/dtype.ts";
import { plan } from "../../src/tensor/plan.ts";
import { Executable, targetOf, upload } from "../../src/tensor/webgpu/execute.ts";
import { session } from "./harness.ts";
import { drawCase } from "./property_cases.ts";
import {
  describe,
  type Graph,
  onDevice,
  parametersOf,
  resultsWith,
  shrink,
} from "./property_graph.ts";
import type { Arr } from "./reference.ts";

/** Cases computed together: their kernels are compiled at the same time. */
export const BATCH = 10;

/** Share of the cases in which the gradient by an input is looked at, and by a second one. */
const GRADIENTS = 0.75, TWO_GRADIENTS = 0.3;

/** Differences allowed, relative to the largest value and to the terms of a directional derivative. */
const VALUE_TOLERANCE = 5e-5, GRADIENT_TOLERANCE = 1e-3;

/** Step of the reference's differences. */
const STEP = 1e-5;

/** Values of tensors, and what gives their memory back. */
type Way = (roots: t.Tensor[]) => Promise<{ results: t.Tensor[]; release: () => void }>;

/** The ways to compute: at once, as a compiled function, with the kernels meant for a real GPU. */
const WAYS: Readonly<Record<string, Way>> = {
  evaluate: async (roots) => {
    await t.evaluate(...roots);
    return { results: roots, release: () => {} };
  },
  compile: async (roots) => {
    const f = t.compile(() => ({ roots }));
    return { results: [...(await f({})).roots], release: () => f.dispose() };
  },
  "kernels for a GPU": async (roots) => {
    const { gpu } = session();
    const target = { ...targetOf(gpu), software: false, subgroup: undefined };
    const executable = await Executable.create(gpu, plan(roots), target);
    const program = await executable.bind((leaf) => upload(gpu, leaf));
    program.run();
    const results = await Promise.all(roots.map(async ({ shape, dtype, size }, i) => {
      const { buffer, offset } = program.results[i].range;
      const data = size === 0
        ? hostArray(dtype, 0)
        : hostArray(dtype, await gpu.read(buffer, offset, 4 * size));
      return t.tensor(data, { shape, dtype });
    }));
    return { results, release: () => program.release() };
  },
};

/** The way a batch is computed. */
const wayOf = (number: number): string =>
  ["evaluate", "kernels for a GPU", "evaluate", "compile"][Math.floor(number / BATCH) % 4];

/** A graph on the device. */
interface Prepared {
  readonly graph: Graph;
  /** Results, then gradients. */
  readonly roots: t.Tensor[];
  readonly leaves: readonly t.Tensor[];
  /** Inputs whose gradients are among the roots. */
  readonly wrt: readonly number[];
  /** Weights of the results' elements in the sum that is differentiated. */
  readonly upstream: ReadonlyMap<number, readonly number[]>;
  readonly random: t.Random;
}

function prepare(graph: Graph, seed: number, number: number): Prepared {
  const random = new t.Random(seed, `check ${number}`);
  const all = onDevice(graph);
  const results = graph.results.map((r) => all[r]);
  const upstream = new Map<number, number[]>();
  results.forEach((r, i) => r.dtype === "f32" && upstream.set(i, [...random.normals(r.size)]));
  const most = random.bool(GRADIENTS) ? (random.bool(TWO_GRADIENTS) ? 2 : 1) : 0;
  const wrt = random.shuffle(parametersOf(graph)).slice(0, most);
  const leaves = all.filter((_, i) => !graph.nodes[i].operation);
  let grads: t.Tensor[] = [];
  if (upstream.size > 0 && wrt.length > 0) {
    const parts = [...upstream].map(([i, u]) => {
      const weights = t.tensor(Float32Array.from(u), { shape: results[i].shape });
      leaves.push(weights);
      return [results[i], weights] as const;
    });
    const by = wrt.map((i) => all[i]);
    grads = parts.length === 1
      ? t.gradients(parts[0][0], by, parts[0][1])
      : t.gradients(parts.map(([y, u]) => t.sum(t.mul(y, u))).reduce((a, b) => t.add(a, b)), by);
  } else wrt.length = 0;
  return { graph, roots: [...results, ...grads], leaves, wrt, upstream, random };
}

/** What is wrong with the values of a prepared graph. */
async function compare(p: Prepared, values: readonly t.Tensor[]): Promise<string[]> {
  const { graph, random } = p, problems: string[] = [];
  const want = graph.results.map((r) => graph.nodes[r].value);
  // Rounding errors are relative to what results are made from, not to results that cancel out.
  const scale = Math.max(
    1,
    ...graph.nodes.filter((n) => n.dtype === "f32").map((n) => largest(n.value.data)),
  );
  for (const [k, w] of want.entries()) {
    const r = graph.results[k], got = await values[k].data();
    const { dtype } = graph.nodes[r], exact = dtype !== "f32";
    const at = w.data.findIndex((v, i) =>
      !(Math.abs(got[i] - v) <= (exact ? 0 : VALUE_TOLERANCE * scale))
    );
    if (values[k].shape.join() !== w.shape.join() || got.length !== w.data.length) {
      problems.push(`value ${r} has shape [${values[k].shape}] instead of [${w.shape}]`);
    } else if (at >= 0) {
      problems.push(`value ${r} has ${got[at]} at ${at} instead of ${w.data[at]}`);
    }
  }
  const loss = (results: readonly Arr[]): number => {
    let sum = 0;
    for (const [i, u] of p.upstream) results[i].data.forEach((v, j) => sum += v * u[j]);
    return sum;
  };
  for (const [k, input] of p.wrt.entries()) {
    const { shape, data } = graph.nodes[input].value;
    const direction = data.map(() => random.normal());
    const moved = (by: number) =>
      loss(resultsWith(graph, input, { shape, data: data.map((v, i) => v + by * direction[i]) }));
    const slope = (moved(STEP) - moved(-STEP)) / (2 * STEP);
    const got = await values[want.length + k].data();
    let sum = 0, size = 0;
    got.forEach((g, i) => {
      sum += g * direction[i];
      size += (g * direction[i]) ** 2;
    });
    const limit = GRADIENT_TOLERANCE * Math.max(1, scale / 10, Math.sqrt(size));
    if (got.length !== data.length || !(Math.abs(sum - slope) <= limit)) {
      problems.push(`the gradient by ${input} gives the slope ${sum} instead of ${slope}`);
    }
  }
  return problems;
}

const largest = (v: readonly number[]): number => v.reduce((m, x) => Math.max(m, Math.abs(x)), 0);

/** Computes graphs together and says what is wrong with each. */
async function check(
  graphs: readonly [number, Graph][],
  seed: number,
  way: string,
): Promise<string[][]> {
  const prepared = graphs.map(([number, graph]) => prepare(graph, seed, number));
  const { results, release } = await WAYS[way](prepared.flatMap((p) => p.roots));
  const problems: string[][] = [];
  let at = 0;
  for (const p of prepared) {
    problems.push(await compare(p, results.slice(at, at += p.roots.length)));
  }
  release();
  for (const x of [...results, ...prepared.flatMap((p) => p.leaves)]) x.dispose();
  return problems;
}

/** What is wrong with one graph, whatever goes wrong. */
const checkOne = (number: number, graph: Graph, seed: number, way: string): Promise<string[]> =>
  check([[number, graph]], seed, way).then(([p]) => p, (error) => [String(error.stack)]);

/** A failing case in words, as small as it gets. */
export async function report(
  seed: number,
  number: number,
  first: readonly string[],
  graph = drawCase(seed, number),
): Promise<string> {
  const way = wayOf(number);
  const again = `deno task properties --seed ${seed} --case ${number}`;
  const head = `case ${number} of seed ${seed} (${way}): ${first.join("; ")}`;
  if ((await checkOne(number, graph, seed, way)).length === 0) {
    return `${head}\nalone it passes; again: ${again} (and the cases computed with it)\n` +
      describe(graph);
  }
  const small = await shrink(
    graph,
    async (g) => (await checkOne(number, g, seed, way)).length > 0,
  );
  const rest = await checkOne(number, small, seed, way);
  return `${head}\nagain: ${again}\n${describe(graph)}\nsmaller: ${rest.join("; ")}\n` +
    describe(small);
}

/**
 * Checks the cases from `first` on, a batch at a time.
 *
 * @returns one message for each case that failed
 */
export async function checkCases(seed: number, first: number, count: number): Promise<string[]> {
  const failures: string[] = [];
  for (let n = first; n < first + count;) {
    const end = Math.min(first + count, (Math.floor(n / BATCH) + 1) * BATCH);
    const numbers = Array.from({ length: end - n }, (_, i) => n + i);
    const graphs = numbers.map((i): [number, Graph] => [i, drawCase(seed, i)]);
    const way = wayOf(n);
    const problems = await check(graphs, seed, way).catch(async (error) => {
      const alone = [];
      for (const [i, graph] of graphs) alone.push(await checkOne(i, graph, seed, way));
      if (alone.every((p) => p.length === 0)) alone[0].push(`together: ${error.stack}`);
      return alone;
    });
    for (const [k, p] of problems.entries()) {
      if (p.length > 0) failures.push(await report(seed, numbers[k], p));
    }
    n = end;
  }
  return failures;
}
