/** Indexing and the functions of neural networks in float64, as plain as those of reference.ts. */
import {
  type Arr,
  at,
  build,
  coordinates,
  map,
  matmul,
  mean,
  position,
  reduce,
  sizeOf,
  softmax,
  total,
  transpose,
  variance,
  zip,
} from "./reference.ts";

/** x[..., index[i], ...]: the index takes the place of the axis. */
export const taken = (x: Arr, index: Arr, axis: number): Arr =>
  build([...x.shape.slice(0, axis), ...index.shape, ...x.shape.slice(axis + 1)], (c) => {
    const n = index.shape.length;
    const i = at(index, c.slice(axis, axis + n));
    return at(x, [...c.slice(0, axis), i, ...c.slice(axis + n)]);
  });

/** x[i, index[i, j]] for axis 1. */
export const takenAlong = (x: Arr, index: Arr, axis: number): Arr =>
  build(index.shape, (c) => at(x, c.map((v, i) => i === axis ? at(index, c) : v)));

/** out[i, index[i, j]] += source[i, j] for axis 1, on zeros. */
export function addedAlong(source: Arr, index: Arr, size: number, axis: number): Arr {
  const shape = source.shape.map((d, i) => i === axis ? size : d);
  const data = new Array<number>(sizeOf(shape)).fill(0);
  for (const c of coordinates(source.shape)) {
    const to = c.map((v, i) => i === axis ? at(index, c) : v);
    if (to[axis] >= 0 && to[axis] < size) data[position(shape, to)] += at(source, c);
  }
  return { shape, data };
}

/** The elements along an axis through a place. */
export const line = (x: Arr, c: readonly number[], axis: number): number[] =>
  Array.from({ length: x.shape[axis] }, (_, j) => at(x, c.map((v, i) => i === axis ? j : v)));

/** Positions of the best elements of a list, of equal ones the first. */
export function best(v: readonly number[], k: number, largest: boolean): number[] {
  return v.map((_, i) => i).sort((a, b) => (largest ? v[b] - v[a] : v[a] - v[b]) || a - b)
    .slice(0, k);
}

/** Positions of the k best elements along an axis. */
export function bestAlong(x: Arr, k: number, axis: number, largest: boolean): Arr {
  const inner = x.shape.slice(axis + 1), one = [...x.shape.slice(0, axis), 1, ...inner];
  const lists = [...coordinates(one)].map((c) => best(line(x, c, axis), k, largest));
  return build(
    x.shape.map((d, i) => i === axis ? k : d),
    (c) => lists[position(one, c.map((v, i) => i === axis ? 0 : v))][c[axis]],
  );
}

/** Running sums or products. */
export const running = (x: Arr, axis: number, join: (a: number, b: number) => number): Arr => {
  const data = [...x.data], step = sizeOf(x.shape.slice(axis + 1));
  for (let i = 0; i < data.length; i++) {
    if (Math.floor(i / step) % x.shape[axis] > 0) data[i] = join(data[i - step], data[i]);
  }
  return { shape: x.shape, data };
};

/** Mean 0 and variance 1 over axes. */
export const normalised = (x: Arr, axes: number[], epsilon: number): Arr => {
  const m = reduce(x, axes, mean, true), v = reduce(x, axes, (w) => variance(w, 0), true);
  return zip((a, b, c) => (a - b) / Math.sqrt(c + epsilon), x, m, v);
};

/** Mean square 1 over the last axis. */
export const scaled = (x: Arr, epsilon: number): Arr =>
  zip(
    (v, m) => v / Math.sqrt(m + epsilon),
    x,
    reduce(x, [-1], (w) => mean(w.map((v) => v * v)), true),
  );

/** Cross-entropy as PyTorch defines it; targets of -100 count nothing. */
export function entropy(x: Arr, targets: Arr, smoothing: number, reduction: string): Arr {
  const [, classes] = x.shape, logp = map(softmax(x), Math.log);
  const counted = targets.data.map((v) => v !== -100);
  const losses = targets.data.map((v, i) => {
    if (!counted[i]) return 0;
    const row = logp.data.slice(i * classes, (i + 1) * classes);
    return -(1 - smoothing) * row[v] - smoothing * mean(row);
  });
  if (reduction === "none") return { shape: [losses.length], data: losses };
  const sum = total(losses), n = counted.filter(Boolean).length;
  return { shape: [], data: [reduction === "sum" ? sum : sum / Math.max(1, n)] };
}

/** Attention of every query head with its key head: output and probabilities. */
export function attend(
  q: Arr,
  k: Arr,
  v: Arr,
  added: (c: readonly number[]) => number,
  scale = 1 / Math.sqrt(q.shape[3]),
): [Arr, Arr] {
  const [b, h, tq] = q.shape, each = h / k.shape[1], tk = k.shape[2];
  const wide = (x: Arr) =>
    build([b, h, ...x.shape.slice(2)], (c) => at(x, [c[0], Math.floor(c[1] / each), c[2], c[3]]));
  const scores = map(matmul(q, transpose(wide(k))), (s) => s * scale);
  const p = softmax(build([b, h, tq, tk], (c) => at(scores, c) + added(c)));
  return [matmul(p, wide(v)), p];
}

/** x cos + rotated x sin, the halves of the last axis rotated. */
export const rotated = (x: Arr, cos: Arr, sin: Arr): Arr => {
  const half = x.shape[3] / 2;
  return build(x.shape, ([b, h, i, j]) => {
    const other = j < half ? -at(x, [b, h, i, j + half]) : at(x, [b, h, i, j - half]);
    return at(x, [b, h, i, j]) * at(cos, [b, i, j]) + other * at(sin, [b, i, j]);
  });
};

/** Cross-correlation of [B, C, H, W] with [O, C, kh, kw]. */
export function convolved(
  x: Arr,
  w: Arr,
  stride: readonly number[],
  padding: readonly number[],
): Arr {
  const [b, channels, height, width] = x.shape, [o, , kh, kw] = w.shape;
  const rows = Math.floor((height + 2 * padding[0] - kh) / stride[0]) + 1;
  const columns = Math.floor((width + 2 * padding[1] - kw) / stride[1]) + 1;
  return build([b, o, rows, columns], ([n, f, i, j]) => {
    let s = 0;
    for (const [c, y, z] of coordinates([channels, kh, kw])) {
      const r = i * stride[0] + y - padding[0], q = j * stride[1] + z - padding[1];
      if (r >= 0 && r < height && q >= 0 && q < width) {
        s += at(x, [n, c, r, q]) * at(w, [f, c, y, z]);
      }
    }
    return s;
  });
}
