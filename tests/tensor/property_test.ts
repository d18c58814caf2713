/**
 * Random graphs: whatever is composed of what, values and gradients agree with the reference. The
 * seeds are fixed; MOIIE_PROPERTY_CASES asks for more graphs.
 */
import { assertEquals, fail } from "@std/assert";
import * as t from "../../src/tensor/mod.ts";
import { hostArray } from "../../src/tensor/dtype.ts";
import { plan } from "../../src/tensor/plan.ts";
import { Executable, targetOf, upload } from "../../src/tensor/webgpu/execute.ts";
import { session, test } from "./harness.ts";
import * as ref from "./reference.ts";
import { type Arr, at, build, reduce, zip } from "./reference.ts";

const CASES = Number(Deno.env.get("MOIIE_PROPERTY_CASES") ?? 50);

/** One operation of a graph, twice. */
interface Op {
  name: string;
  from: readonly number[];
  device: (...x: t.Tensor[]) => t.Tensor;
  reference: (...x: Arr[]) => Arr;
}

/** A graph: inputs, then operations on what comes before them. */
interface Graph {
  inputs: readonly Arr[];
  ops: readonly Op[];
}

const sigmoid = (v: number): number => 1 / (1 + Math.exp(-v));

/** Smooth functions that keep values small. */
const UNARY: [string, (x: t.Tensor) => t.Tensor, (v: number) => number][] = [
  ["sin", t.sin, Math.sin],
  ["cos", t.cos, Math.cos],
  ["tanh", t.tanh, Math.tanh],
  ["sigmoid", t.sigmoid, sigmoid],
  ["erf", t.erf, ref.erf],
  ["silu", t.silu, (v) => v * sigmoid(v)],
  ["gelu", t.gelu, (v) => v * 0.5 * (1 + ref.erf(v / Math.SQRT2))],
  ["neg", t.neg, (v) => -v],
  ["exp of sin", (x) => t.exp(t.sin(x)), (v) => Math.exp(Math.sin(v))],
  ["root", (x) => t.sqrt(t.add(t.square(x), 1)), (v) => Math.sqrt(v * v + 1)],
  ["log", (x) => t.log(t.add(t.square(x), 0.5)), (v) => Math.log(v * v + 0.5)],
  ["inverse", (x) => t.div(2, t.add(t.square(x), 1)), (v) => 2 / (v * v + 1)],
];

const BINARY: [string, (a: t.Tensor, b: t.Tensor) => t.Tensor, (a: number, b: number) => number][] =
  [
    ["add", t.add, (a, b) => a + b],
    ["sub", t.sub, (a, b) => a - b],
    ["mul", t.mul, (a, b) => a * b],
    ["div", (a, b) => t.div(a, t.add(t.square(b), 1)), (a, b) => a / (b * b + 1)],
    ["where", (a, b) => t.where(t.less(a, b), t.sin(a), b), (a, b) => a < b ? Math.sin(a) : b],
  ];

const REDUCTIONS: [
  string,
  (x: t.Tensor, o: t.ReduceOptions) => t.Tensor,
  (v: number[]) => number,
][] = [
  ["mean", t.mean, ref.mean],
  ["logSumExp", t.logSumExp, ref.logSumExp],
  ["variance", (x, o) => t.variance(x, { ...o, correction: 0 }), (v) => ref.variance(v, 0)],
  ["max", t.max, (v) => Math.max(...v)],
];

/** Draws the next operation on arrays of the given shapes. */
function draw(random: t.Random, shapes: readonly (readonly number[])[]): Op {
  // Later results are likelier, so that graphs grow deep.
  const pick = () => Math.max(random.int(shapes.length), random.int(shapes.length));
  const i = pick(), shape = shapes[i], rank = shape.length;
  const one = (name: string, device: Op["device"], reference: Op["reference"]): Op => ({
    name,
    from: [i],
    device,
    reference,
  });
  const axis = rank > 0 ? random.int(rank) : 0;
  const kind = random.int(rank > 0 ? 14 : 3);
  switch (kind) {
    case 0:
    case 1: {
      const [name, f, g] = random.pick(UNARY);
      return one(name, f, (x) => ref.map(x, g));
    }
    case 2: {
      // An operand that broadcasts: any earlier one of a fitting shape, or the operand itself.
      const fits = shapes.map((_, j) => j).filter((j) => broadcasts(shape, shapes[j]));
      const [name, f, g] = random.pick(BINARY);
      return { name, from: [i, random.pick(fits)], device: f, reference: (a, b) => zip(g, a, b) };
    }
    case 3: {
      const [name, f, g] = random.pick(REDUCTIONS);
      const keep = random.bool(),
        axes = random.bool() || rank < 2 ? [axis] : [axis, (axis + 1) % rank];
      return one(
        `${name} over ${axes}`,
        (x) => f(x, { axes, keepDims: keep }),
        (x) => reduce(x, axes, g, keep),
      );
    }
    case 4:
      return one(`softmax ${axis}`, (x) => t.softmax(x, axis), (x) => ref.softmax(x, axis));
    case 5: {
      const axes = random.shuffle(shape.map((_, j) => j));
      return one(`permute ${axes}`, (x) => t.permute(x, axes), (x) => ref.permute(x, axes));
    }
    case 6: {
      const size = ref.sizeOf(shape);
      const divisors = Array.from({ length: size }, (_, d) => d + 1).filter((d) => size % d === 0);
      const d = random.pick(divisors), to = random.bool() ? [d, size / d] : [d, 1, size / d];
      return one(`reshape ${to}`, (x) => t.reshape(x, to), (x) => ref.reshape(x, to));
    }
    case 7: {
      const size = shape[axis], start = random.int(size), step = 1 + random.int(2);
      const end = start + 1 + random.int(size - start), count = Math.ceil((end - start) / step);
      const ranges = shape.map((_, j) => j === axis ? { start, end, step } : undefined);
      const to = shape.map((v, j) => j === axis ? count : v);
      return one(
        `slice ${start}:${end}:${step}`,
        (x) => t.slice(x, ...ranges),
        (x) => build(to, (c) => at(x, c.map((v, j) => j === axis ? start + step * v : v))),
      );
    }
    case 8: {
      const before = random.int(2), after = random.int(3);
      const pads = (n: number) => shape.map((_, j) => j === axis ? n : 0);
      return one(
        `pad ${before} ${after}`,
        (x) => t.pad(x, pads(before), pads(after), 0.5),
        (x) =>
          build(shape.map((v, j) => j === axis ? before + v + after : v), (c) => {
            const from = c[axis] - before;
            return from < 0 || from >= shape[axis]
              ? 0.5
              : at(x, c.map((v, j) => j === axis ? from : v));
          }),
      );
    }
    case 9:
      return one(
        `flip ${axis}`,
        (x) => t.flip(x, [axis]),
        (x) => build(shape, (c) => at(x, c.map((v, j) => j === axis ? shape[axis] - 1 - v : v))),
      );
    case 10: {
      const j = random.pick(shapes.map((_, k) => k).filter((k) => sameBut(shape, shapes[k], axis)));
      return {
        name: `cat ${axis}`,
        from: [i, j],
        device: (a, b) => t.cat([a, b], axis),
        reference: (a, b) => {
          const n = a.shape[axis], to = a.shape.map((v, k) => k === axis ? n + b.shape[axis] : v);
          return build(
            to,
            (c) => c[axis] < n ? at(a, c) : at(b, c.map((v, k) => k === axis ? v - n : v)),
          );
        },
      };
    }
    case 11: {
      const index = Array.from({ length: 1 + random.int(4) }, () => random.int(shape[axis]));
      return one(
        `take ${index}`,
        (x) => t.take(x, t.tensor(Int32Array.from(index)), axis),
        (x) =>
          build(
            shape.map((v, j) => j === axis ? index.length : v),
            (c) => at(x, c.map((v, j) => j === axis ? index[v] : v)),
          ),
      );
    }
    case 12: {
      const to = [1 + random.int(3), ...shape];
      return one(`expand ${to}`, (x) => t.expand(x, to), (x) => ref.expand(x, to));
    }
    default: {
      if (rank < 2) return one("square", t.square, (x) => ref.map(x, (v) => v * v));
      // With its own transpose: [m, k] [k, m], scaled down.
      const scale = 1 / shape[rank - 1];
      return one(
        "gram",
        (x) => t.mul(t.matmul(x, t.transpose(x)), scale),
        (x) => ref.map(ref.matmul(x, ref.transpose(x)), (v) => v * scale),
      );
    }
  }
}

function broadcasts(a: readonly number[], b: readonly number[]): boolean {
  const wide = Math.max(a.length, b.length);
  for (let i = 1; i <= wide; i++) {
    const x = a[a.length - i] ?? 1, y = b[b.length - i] ?? 1;
    if (x !== y && x !== 1 && y !== 1) return false;
  }
  return true;
}

const sameBut = (a: readonly number[], b: readonly number[], axis: number): boolean =>
  a.length === b.length && a.every((d, i) => i === axis || d === b[i]);

/** A graph of small tensors, or of fewer ones so large that kernels treat several elements at once. */
function drawGraph(random: t.Random): Graph {
  const large = random.int(6) === 0;
  const inputs = Array.from({ length: 2 + random.int(3) }, (): Arr => {
    const shape = large
      ? [8 + random.int(9), 4 * (20 + random.int(20))].slice(random.int(2))
      : Array.from({ length: random.int(4) }, () => 1 + random.int(5));
    return { shape, data: [...random.normals(ref.sizeOf(shape))] };
  });
  const ops: Op[] = [];
  const shapes = inputs.map((x) => x.shape);
  const count = large ? 4 + random.int(5) : 6 + random.int(14);
  while (ops.length < count) {
    const op = draw(random, shapes);
    const to = op.reference(...op.from.map((j) => build(shapes[j], () => 0.1))).shape;
    if (ref.sizeOf(to) > (large ? 8000 : 400) || to.length > 5) continue;
    ops.push(op);
    shapes.push(to);
  }
  return { inputs, ops };
}

function onDevice(graph: Graph, leaves: readonly t.Tensor[]): t.Tensor[] {
  const all = [...leaves];
  for (const op of graph.ops) all.push(op.device(...op.from.map((j) => all[j])));
  return all;
}

function onHost(graph: Graph, inputs: readonly Arr[]): Arr[] {
  const all = [...inputs];
  for (const op of graph.ops) all.push(op.reference(...op.from.map((j) => all[j])));
  return all;
}

/** Means of the sine of some results, added up: a loss that everything can flow into. */
const lossOf = (all: readonly t.Tensor[], sinks: readonly number[]): t.Tensor =>
  sinks.map((j) => t.mean(t.sin(all[j]))).reduce((a, b) => t.add(a, b));
const hostLoss = (all: readonly Arr[], sinks: readonly number[]): number =>
  ref.total(sinks.map((j) => ref.mean(all[j].data.map((v) => Math.sin(v)))));

/** Difference relative to the largest value, at least 1. */
function distance(got: ArrayLike<number>, want: readonly number[]): number {
  const scale = Math.max(1, ...want.map(Math.abs));
  return Math.max(0, ...want.map((w, i) => Math.abs(got[i] - w) / scale));
}

/** Results as tensors with values, and what gives their memory back. */
type Way = (roots: t.Tensor[]) => Promise<{ results: t.Tensor[]; release: () => void }>;

/** The ways to compute: at once, as a compiled function, with the kernels meant for a real GPU. */
const WAYS: readonly Way[] = [
  async (roots) => {
    await t.evaluate(...roots);
    return { results: roots, release: () => {} };
  },
  async (roots) => {
    const f = t.compile(() => ({ roots }));
    return { results: [...(await f({})).roots], release: () => f.dispose() };
  },
  async (roots) => {
    const { gpu } = session();
    const executable = await Executable.create(gpu, plan(roots), {
      ...targetOf(gpu),
      software: false,
      subgroup: undefined,
    });
    const program = await executable.bind((leaf) => upload(gpu, leaf));
    program.run();
    const results = await Promise.all(roots.map(async ({ shape, dtype, size }, i) => {
      const { buffer, offset } = program.results[i].range;
      return t.tensor(hostArray(dtype, await gpu.read(buffer, offset, 4 * size)), { shape });
    }));
    return { results, release: () => program.release() };
  },
];

async function check(seed: number): Promise<string | undefined> {
  const random = new t.Random(seed, "graph");
  const graph = drawGraph(random);
  const wanted = onHost(graph, graph.inputs);
  const leaves = graph.inputs.map((x) => t.tensor(Float32Array.from(x.data), { shape: x.shape }));
  const all = onDevice(graph, leaves);
  const sinks = [all.length - 1, all.length - 1 - random.int(graph.ops.length)];
  const loss = lossOf(all, sinks), grads = t.gradients(loss, leaves);
  // Some intermediate results are asked for as well, which changes what is fused.
  const asked = graph.ops.map((_, j) => leaves.length + j).filter(() => random.bool(0.15));
  const roots = [loss, ...grads, ...asked.map((j) => all[j])];
  const { results, release } = await random.pick([
    ...WAYS.slice(0, 2),
    ...WAYS.slice(0, 2),
    ...WAYS,
  ])(roots);
  const problems: string[] = [];
  const expect = (what: string, error: number, limit: number) => {
    if (!(error <= limit)) problems.push(`${what} is off by ${error.toExponential(1)}`);
  };
  expect("loss", Math.abs(await results[0].item() - hostLoss(wanted, sinks)), 1e-4);
  for (const [k, j] of asked.entries()) {
    const got = results[1 + grads.length + k];
    assertEquals([...got.shape], [...wanted[j].shape]);
    expect(`result ${j}`, distance(await got.data(), wanted[j].data), 1e-4);
  }
  for (const [k, input] of graph.inputs.entries()) {
    const direction = input.data.map(() => random.normal());
    const move = (by: number) =>
      hostLoss(
        onHost(
          graph,
          graph.inputs.map((x, i) =>
            i === k ? { shape: x.shape, data: x.data.map((v, l) => v + by * direction[l]) } : x
          ),
        ),
        sinks,
      );
    const slope = (move(1e-6) - move(-1e-6)) / 2e-6;
    const got = [...await results[1 + k].data()].reduce((s, g, l) => s + g * direction[l], 0);
    expect(`gradient by input ${k}`, distance([got], [slope]), 2e-3);
  }
  release();
  for (const x of [...leaves, ...results]) x.dispose();
  if (problems.length === 0) return undefined;
  const text = graph.ops.map((op, j) =>
    `  ${j + leaves.length}: ${op.name} of ${op.from} -> [${wanted[j + leaves.length].shape}]`
  );
  return `seed ${seed}: ${problems.join(", ")}; loss from ${sinks}\n${text.join("\n")}`;
}

test(`${CASES} random graphs have the reference's values and gradients`, async () => {
  for (let seed = 0; seed < CASES; seed++) {
    const problem = await check(seed).catch((error) => `seed ${seed}: ${error.stack}`);
    if (problem) fail(problem);
  }
});
