/** Layers as plain loops in float64. Matrices are flat, row by row. */

/** Numbers of one token. */
export type Row = number[];

/** Rows of `width` numbers. */
export function rowsOf(values: ArrayLike<number>, width: number): Row[] {
  return Array.from(
    { length: values.length / width },
    (_, r) => Array.from({ length: width }, (_, i) => values[r * width + i]),
  );
}

/** x Wᵀ + b. */
export function referenceLinear(
  x: Row,
  weight: ArrayLike<number>,
  bias?: ArrayLike<number>,
): Row {
  return Array.from({ length: weight.length / x.length }, (_, o) => {
    let y = bias ? bias[o] : 0;
    for (let i = 0; i < x.length; i++) y += weight[o * x.length + i] * x[i];
    return y;
  });
}

/** Layer norm with a bias, RMS norm without. */
export function referenceNorm(
  x: Row,
  weight: ArrayLike<number>,
  bias: ArrayLike<number> | undefined,
  epsilon: number,
): Row {
  const mean = bias ? x.reduce((a, b) => a + b, 0) / x.length : 0;
  const variance = x.reduce((s, v) => s + (v - mean) ** 2, 0) / x.length;
  return x.map((v, i) => (v - mean) / Math.sqrt(variance + epsilon) * weight[i] + (bias?.[i] ?? 0));
}

/** The error function, by a series without cancellation. */
export function erf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = x, total = x;
  for (let n = 1; n < 200; n++) total += term *= 2 * x * x / (2 * n + 1);
  return 2 / Math.sqrt(Math.PI) * Math.exp(-x * x) * total;
}

/** x Φ(x). */
export const referenceGelu = (x: number): number => x / 2 * (1 + erf(x * Math.SQRT1_2));

/** Rotates the pairs (i, i + size / 2) of a head by position · base^(-2i / size). */
export function referenceRotary(x: Row, position: number, base: number): Row {
  const half = x.length / 2;
  return x.map((v, i) => {
    const angle = position * base ** (-2 * (i % half) / x.length);
    const other = i < half ? -x[i + half] : x[i - half];
    return v * Math.cos(angle) + other * Math.sin(angle);
  });
}

/** How {@linkcode referenceAttention} is used. */
export interface ReferenceAttention {
  qkv: { weight: ArrayLike<number>; bias?: ArrayLike<number> };
  output: { weight: ArrayLike<number>; bias?: ArrayLike<number> };
  heads: number;
  keyHeads?: number;
  /** Whether query i sees key j. Default: everything. */
  sees?: (i: number, j: number) => boolean;
  /** Position of each token, and base. */
  rotary?: { positions: ArrayLike<number>; base: number };
}

/** Self-attention over the tokens of one sequence. */
export function referenceAttention(x: readonly Row[], use: ReferenceAttention): Row[] {
  const { heads, keyHeads = heads, sees = () => true, rotary } = use;
  const size = x[0].length / heads;
  const all = x.map((row) => referenceLinear(row, use.qkv.weight, use.qkv.bias));
  const part = (t: number, head: number, turned: boolean): Row => {
    const row = all[t].slice(head * size, (head + 1) * size);
    return rotary && turned ? referenceRotary(row, rotary.positions[t], rotary.base) : row;
  };
  return x.map((_, i) => {
    const joined: Row = [];
    for (let h = 0; h < heads; h++) {
      const key = heads + Math.floor(h * keyHeads / heads), value = key + keyHeads;
      const q = part(i, h, true);
      const seen = x.map((_, j) => j).filter((j) => sees(i, j));
      const scores = seen.map((j) =>
        part(j, key, true).reduce((s, v, d) => s + v * q[d], 0) / Math.sqrt(size)
      );
      const top = Math.max(...scores);
      const powers = scores.map((s) => Math.exp(s - top));
      const total = powers.reduce((a, b) => a + b, 0);
      for (let d = 0; d < size; d++) {
        joined.push(
          seen.reduce((s, j, n) => s + powers[n] / total * part(j, value, false)[d], 0),
        );
      }
    }
    return referenceLinear(joined, use.output.weight, use.output.bias);
  });
}
