/** Benchmark jobs of single operations and small networks. */
import {
  add,
  compile,
  currentSession,
  explain,
  flashAttention,
  gradients,
  groupedMatmul,
  layerNorm,
  matmul,
  mean,
  mul,
  Random,
  relu,
  rmsNorm,
  softmax,
  sortByGroup,
  square,
  sub,
  type Tensor,
  tensor,
} from "../../tensor/mod.ts";
import { composedAttention } from "../../tensor/composed_attention.ts";
import { applyLinear, makeLinear, parameters } from "../../nn/mod.ts";
import { AdamW, Sgd } from "../../train/mod.ts";
import type { Job, PeerWork, Work } from "./job.ts";

const random = (): Random => new Random(1, "bench");

/** Normally distributed numbers. */
export function normals(...shape: number[]): Tensor {
  return tensor(random().normals(shape.reduce((a, b) => a * b, 1)), { shape });
}

/** Work that computes results of tensors that are there, compiled. */
export function compiledWork(
  build: () => Tensor[],
  held: { dispose(): void }[] = [],
  peer?: PeerWork,
): Work {
  const { flops, bytes } = explain(build());
  const f = compile(() => ({ results: build() }));
  return {
    run: async () => (await f({})).results,
    flops,
    bytes,
    peer,
    dispose: () => {
      f.dispose();
      for (const x of held) x.dispose();
    },
  };
}

/** A square matrix product. */
function product(n: number): Job {
  return {
    name: `mm${n}`,
    what: `matrix product, ${n} × ${n} × ${n}`,
    prepare: () => {
      const a = normals(n, n), b = normals(n, n);
      return compiledWork(() => [matmul(a, b)], [a, b], { kind: "matmul", inputs: { a, b } });
    },
  };
}

/** One operation on one tensor; `kind` is its name for PyTorch. */
function single(
  name: string,
  what: string,
  shape: number[],
  op: (x: Tensor) => Tensor,
  kind?: string,
): Job {
  return {
    name,
    what,
    prepare: () => {
      const x = normals(...shape);
      return compiledWork(() => [op(x)], [x], kind ? { kind, inputs: { x } } : undefined);
    },
  };
}

/** A training step of a two-layer network. */
function network(name: string, make: (tree: unknown) => AdamW | Sgd): Job {
  const rate = 1e-3;
  return {
    name,
    what: `training step of 256-1024-256 with ReLU and squared error, batch 1024, ${name.slice(4)}`,
    prepare: () => {
      const layers = {
        up: makeLinear(random(), 256, 1024, { bias: true }),
        down: makeLinear(random(), 1024, 256, { bias: true }),
      };
      const x = normals(1024, 256), y = normals(1024, 256);
      const optimizer = make(layers);
      const hyper = tensor(optimizer.hyper(rate, 1), { shape: optimizer.hyperShape });
      const peer = {
        kind: "network",
        inputs: { x, y, ...Object.fromEntries(optimizer.parameters) },
        options: { optimizer: name.slice(4), rate },
      };
      return compiledWork(
        () => {
          const out = applyLinear(layers.down, relu(applyLinear(layers.up, x)));
          const loss = mean(square(sub(out, y)));
          const { effect } = optimizer.update(
            gradients(loss, [...optimizer.parameters.values()]),
            hyper,
          );
          return [loss, effect];
        },
        [optimizer, x, y, hyper],
        peer,
      );
    },
  };
}

/** The parameters of a tree as one group. */
function groupsOf(tree: unknown): { name: string; parameters: Map<string, Tensor> }[] {
  return [{ name: "all", parameters: parameters(tree) }];
}

/** A hundred operations, each on the result of the one before. */
function chain(x: Tensor): Tensor {
  let y = x;
  for (let i = 0; i < 50; i++) y = mul(add(y, 0.001), 0.999);
  return y;
}

/** Rows, widths and groups of the grouped product that is compared with a dense one. */
const ROWS = 2048, IN = 128, OUT = 1024, GROUPS = 4, TILE = 32;

/** A grouped product with so many rows in each group. */
function grouped(name: string, shares: readonly number[]): Job {
  return {
    name,
    what: `grouped product, ${ROWS} rows × ${IN} × ${OUT}, groups of ${shares.join(", ")} rows`,
    prepare: () => {
      const ids = Int32Array.from(shares.flatMap((n, group) => new Array<number>(n).fill(group)));
      const groups = sortByGroup(tensor(ids), GROUPS, TILE);
      const x = normals(groups.item.size, IN), weight = normals(GROUPS, OUT, IN);
      return compiledGrouped(x, weight, groups);
    },
  };
}

async function compiledGrouped(
  x: Tensor,
  weight: Tensor,
  groups: ReturnType<typeof sortByGroup>,
): Promise<Work> {
  await groups.counts.data(); // so that sorting is no part of the measured work
  const work = compiledWork(() => [groupedMatmul(x, weight, groups)], [x, weight]);
  return { ...work, flops: 2 * ROWS * IN * OUT };
}

/** Attention and its gradients, by one way to compute it. */
function attend(name: string, how: string, f: (q: Tensor, k: Tensor, v: Tensor) => Tensor): Job {
  return {
    name,
    what: `causal attention with gradients, ${how}, 2 × 4 × 512 × 64, on GPUs 4 × 32 × 1024 × 128`,
    prepare: () => {
      const { software } = currentSession().gpu.adapter;
      const shape = software ? [2, 4, 512, 64] : [4, 32, 1024, 128];
      const [q, k, v, g] = Array.from({ length: 4 }, () => normals(...shape));
      const build = () => {
        const y = f(q, k, v);
        return [y, ...gradients(y, [q, k, v], g)];
      };
      const inputs = { q, k, v, upstream: g };
      return compiledWork(build, [q, k, v, g], { kind: "attention", inputs });
    },
  };
}

/** ε of the norms. */
const EPSILON = 1e-5;

/** Jobs of single operations and small networks. */
export const TENSOR_JOBS: readonly Job[] = [
  product(256),
  product(512),
  product(1024),
  {
    name: "bmm",
    what: "batched product, 32 × (64 × 64 × 64)",
    prepare: () => {
      const a = normals(32, 64, 64), b = normals(32, 64, 64);
      return compiledWork(() => [matmul(a, b)], [a, b], { kind: "matmul", inputs: { a, b } });
    },
  },
  attend("attention", "scores not stored", (q, k, v) => {
    return flashAttention(q, k, v, { causal: true }).output;
  }),
  attend("attention_composed", "scores stored", (q, k, v) => {
    return composedAttention(q, [k], [v], { causal: true }).output;
  }),
  single("softmax", "softmax of the rows of 1024 × 1024", [1024, 1024], softmax, "softmax"),
  {
    name: "layernorm",
    what: "layer norm of the rows of 1024 × 512",
    prepare: () => {
      const x = normals(1024, 512), w = normals(512), b = normals(512);
      return compiledWork(() => [layerNorm(x, w, b, EPSILON)], [x, w, b], {
        kind: "layer_norm",
        inputs: { x, weight: w, bias: b },
        options: { epsilon: EPSILON },
      });
    },
  },
  {
    name: "rmsnorm",
    what: "RMS norm of the rows of 1024 × 512",
    prepare: () => {
      const x = normals(1024, 512), w = normals(512);
      return compiledWork(() => [rmsNorm(x, w, EPSILON)], [x, w], {
        kind: "rms_norm",
        inputs: { x, weight: w },
        options: { epsilon: EPSILON },
      });
    },
  },
  network("mlp_sgd", (tree) => new Sgd(groupsOf(tree))),
  network("mlp_adamw", (tree) => new AdamW(groupsOf(tree))),
  {
    name: "chain100",
    what: "100 dependent operations on 16 numbers, planned anew",
    prepare: () => {
      const x = normals(16);
      const run = async () => {
        const y = chain(x);
        await y.data();
        y.dispose();
        return [];
      };
      return { run, flops: 0, bytes: 0, dispose: () => x.dispose() };
    },
  },
  single("chain100_jit", "100 dependent operations on 16 numbers, compiled", [16], chain),
  {
    name: "dense_rows",
    what: `dense product, ${ROWS} × ${IN} × ${OUT}, what the grouped ones are compared with`,
    prepare: () => {
      const x = normals(ROWS, IN), w = normals(IN, OUT);
      return compiledWork(() => [matmul(x, w)], [x, w], { kind: "matmul", inputs: { a: x, b: w } });
    },
  },
  grouped("grouped_balanced", [512, 512, 512, 512]),
  grouped("grouped_skewed", [1434, 205, 205, 204]),
  grouped("grouped_empty", [683, 683, 682, 0]),
];
