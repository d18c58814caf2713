/**
 * The tensor operations once more, in the plainest way: float64 arrays and loops over coordinates.
 * What the tests compare the device with. Gradients are central differences, which in float64 are
 * good to about nine digits.
 */

/** A row-major array of float64 numbers; truth values are 0 and 1. */
export interface Arr {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

export const sizeOf = (shape: readonly number[]): number => shape.reduce((n, d) => n * d, 1);

/** All coordinates of a shape in row-major order. */
export function* coordinates(shape: readonly number[]): Generator<number[]> {
  const total = sizeOf(shape);
  for (let at = 0; at < total; at++) {
    const c = new Array<number>(shape.length);
    let rest = at;
    for (let i = shape.length - 1; i >= 0; i--) {
      c[i] = rest % shape[i];
      rest = Math.floor(rest / shape[i]);
    }
    yield c;
  }
}

/** Row-major position of coordinates. */
export function position(shape: readonly number[], c: readonly number[]): number {
  return shape.reduce((at, d, i) => at * d + c[i], 0);
}

export const at = (x: Arr, c: readonly number[]): number => x.data[position(x.shape, c)];

/** An array whose elements are given by their coordinates. */
export function build(shape: readonly number[], f: (c: number[]) => number): Arr {
  return { shape, data: [...coordinates(shape)].map(f) };
}

export const map = (x: Arr, f: (v: number) => number): Arr => ({
  shape: x.shape,
  data: x.data.map((v) => f(v)),
});

/** Elementwise function of arrays that broadcast by the rules of NumPy. */
export function zip(f: (...v: number[]) => number, ...xs: Arr[]): Arr {
  const rank = Math.max(...xs.map((x) => x.shape.length));
  const padded = xs.map((x) => [...new Array(rank - x.shape.length).fill(1), ...x.shape]);
  const shape = Array.from({ length: rank }, (_, i) => {
    const sizes = padded.map((p) => p[i]);
    return sizes.find((d) => d !== 1) ?? 1;
  });
  return build(
    shape,
    (c) =>
      f(...xs.map((x, k) =>
        at({ shape: padded[k], data: x.data }, c.map((v, i) => padded[k][i] === 1 ? 0 : v))
      )),
  );
}

/** Joins the elements along axes (negative ones count from the end) with a function of a list. */
export function reduce(
  x: Arr,
  axes: readonly number[],
  f: (v: number[]) => number,
  keep = false,
): Arr {
  const over = axes.map((a) => a < 0 ? a + x.shape.length : a);
  const kept = x.shape.map((d, i) => over.includes(i) ? 1 : d);
  const lists = Array.from({ length: sizeOf(kept) }, () => [] as number[]);
  for (const c of coordinates(x.shape)) {
    lists[position(kept, c.map((v, i) => over.includes(i) ? 0 : v))].push(at(x, c));
  }
  const shape = keep ? kept : x.shape.filter((_, i) => !over.includes(i));
  return { shape, data: lists.map(f) };
}

export const total = (v: number[]): number => v.reduce((s, x) => s + x, 0);
export const product = (v: number[]): number => v.reduce((s, x) => s * x, 1);
export const mean = (v: number[]): number => total(v) / v.length;
export const variance = (v: number[], correction = 1): number => {
  const m = mean(v);
  return total(v.map((x) => (x - m) ** 2)) / (v.length - correction);
};
export const logSumExp = (v: number[]): number => {
  const m = Math.max(...v);
  return m === -Infinity ? m : m + Math.log(total(v.map((x) => Math.exp(x - m))));
};

export const reshape = (x: Arr, shape: readonly number[]): Arr => ({ shape, data: x.data });

export const permute = (x: Arr, axes: readonly number[]): Arr =>
  build(axes.map((a) => x.shape[a]), (c) => {
    const from: number[] = [];
    axes.forEach((a, i) => from[a] = c[i]);
    return at(x, from);
  });

/** Swaps the last two axes. */
export const transpose = (x: Arr): Arr => {
  const axes = x.shape.map((_, i) => i), n = axes.length;
  [axes[n - 2], axes[n - 1]] = [n - 1, n - 2];
  return permute(x, axes);
};

export const expand = (x: Arr, shape: readonly number[]): Arr =>
  zip((v) => v, x, build(shape, () => 0));

/** Matrix product of arrays of at least two dimensions, the others broadcast. */
export function matmul(a: Arr, b: Arr): Arr {
  const [m, k] = a.shape.slice(-2), n = b.shape.at(-1)!;
  const batch =
    zip(() => 0, build(a.shape.slice(0, -2), () => 0), build(b.shape.slice(0, -2), () => 0)).shape;
  const wide = (x: Arr, r: number, c: number) => expand(x, [...batch, r, c]);
  const x = wide(a, m, k), y = wide(b, k, n);
  return build([...batch, m, n], (c) => {
    const z = c.slice(0, -2), [i, j] = c.slice(-2);
    let sum = 0;
    for (let l = 0; l < k; l++) sum += at(x, [...z, i, l]) * at(y, [...z, l, j]);
    return sum;
  });
}

export function softmax(x: Arr, axis = -1): Arr {
  const lse = reduce(x, [axis], logSumExp, true);
  return zip((v, l) => Math.exp(v - l), x, lse);
}

/** Gauss error function: series near 0, continued fraction far from it; good to 14 digits. */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (a > 6) return Math.sign(x);
  if (a < 2.5) {
    let term = a, sum = a;
    for (let n = 1; n < 80; n++) {
      term *= -a * a / n;
      sum += term / (2 * n + 1);
    }
    return Math.sign(x) * 2 / Math.sqrt(Math.PI) * sum;
  }
  let f = 0;
  for (let n = 60; n >= 1; n--) f = n / 2 / (a + f);
  return Math.sign(x) * (1 - Math.exp(-a * a) / Math.sqrt(Math.PI) / (a + f));
}

/**
 * Derivative of Σ f(inputs) · upstream when one input moves along a direction, by central
 * differences.
 */
export function derivative(
  f: (...inputs: Arr[]) => Arr,
  inputs: readonly Arr[],
  which: number,
  direction: readonly number[],
  upstream: readonly number[],
  step: number = 1e-5,
): number {
  const value = (by: number): number => {
    const moved = inputs.map((x, j) =>
      j === which ? { shape: x.shape, data: x.data.map((v, i) => v + by * direction[i]) } : x
    );
    return f(...moved).data.reduce((s, v, i) => s + v * upstream[i], 0);
  };
  return (value(step) - value(-step)) / (2 * step);
}
