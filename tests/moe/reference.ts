/** The feed-forward layer as plain loops in float64, forward and backward. */
import { type PoolTable, routersOf } from "../../src/moe/mod.ts";

/** A layer's numbers. */
export interface ReferenceLayer {
  table: PoolTable;
  /** One for each router, `[pool size, D]`. */
  routers: ArrayLike<number>[];
  /** `[E, 2F, D]` */
  gateUp: ArrayLike<number>;
  /** `[E, D, F]` */
  down: ArrayLike<number>;
  /** D */
  width: number;
  /** F */
  hidden: number;
}

/** What the loops compute for one token. */
export interface ReferenceToken {
  /** `[E]`, zero for experts outside the pool. */
  probabilities: number[];
  /** Chosen experts, likeliest first. */
  chosen: number[];
  /** Their weights. */
  weights: number[];
  /** Result of every chosen expert, `[k][D]`. */
  outputs: number[][];
  /** `[D]` */
  y: number[];
}

/** Gradients of Σ y · dy. */
export interface ReferenceGradients {
  x: Float64Array;
  routers: Float64Array[];
  gateUp: Float64Array;
  down: Float64Array;
}

const sigmoid = (z: number) => 1 / (1 + Math.exp(-z));
const dot = (a: ArrayLike<number>, b: ArrayLike<number>, n: number, from = 0) => {
  let total = 0;
  for (let i = 0; i < n; i++) total += a[from + i] * b[i];
  return total;
};

/** Gate and up projections and inner activations of one expert. */
function inner({ gateUp, width, hidden }: ReferenceLayer, e: number, x: ArrayLike<number>) {
  const row = (r: number) => dot(gateUp, x, width, (e * 2 * hidden + r) * width);
  const gate = Array.from({ length: hidden }, (_, f) => row(f));
  const up = Array.from({ length: hidden }, (_, f) => row(hidden + f));
  return { gate, up, h: gate.map((g, f) => g * sigmoid(g) * up[f]) };
}

/** One token through the layer. */
export function referenceToken(
  layer: ReferenceLayer,
  x: ArrayLike<number>,
  modality: number,
): ReferenceToken {
  const { table, width, hidden } = layer;
  const { experts, router } = table.pools[modality];
  const logits = experts.map((_, j) =>
    router === undefined ? 0 : dot(layer.routers[router], x, width, j * width)
  );
  const top = Math.max(...logits);
  const powers = logits.map((z) => Math.exp(z - top));
  const total = powers.reduce((a, b) => a + b, 0);
  const probabilities = new Array(table.experts.length).fill(0);
  experts.forEach((e, j) => probabilities[e] = powers[j] / total);
  // The sort is stable, so of equal logits the expert that stands first in the layer wins.
  const chosen = experts.map((e, j) => ({ e, z: logits[j] }))
    .sort((a, b) => a.e - b.e).sort((a, b) => b.z - a.z)
    .slice(0, table.topK).map(({ e }) => e);
  const kept = chosen.map((e) => probabilities[e]);
  const sum = table.renormalise ? kept.reduce((a, b) => a + b, 0) : 1;
  const weights = kept.map((p) => p / sum);
  const outputs = chosen.map((e) => {
    const { h } = inner(layer, e, x);
    return Array.from(
      { length: width },
      (_, d) => dot(layer.down, h, hidden, (e * width + d) * hidden),
    );
  });
  const y = Array.from(
    { length: width },
    (_, d) => outputs.reduce((s, out, i) => s + weights[i] * out[d], 0),
  );
  return { probabilities, chosen, weights, outputs, y };
}

/** All tokens through the layer, and the gradients of Σ y · dy. */
export function referenceLayer(
  layer: ReferenceLayer,
  x: ArrayLike<number>,
  modality: ArrayLike<number>,
  dy: ArrayLike<number>,
): { tokens: ReferenceToken[]; y: number[]; gradients: ReferenceGradients } {
  const { table, width: d, hidden: f } = layer;
  const gradients: ReferenceGradients = {
    x: new Float64Array(x.length),
    routers: routersOf(table).map(({ experts }) => new Float64Array(experts.length * d)),
    gateUp: new Float64Array(layer.gateUp.length),
    down: new Float64Array(layer.down.length),
  };
  const tokens = Array.from({ length: modality.length }, (_, t) => {
    const xt = Array.from({ length: d }, (_, i) => x[t * d + i]);
    const dyt = Array.from({ length: d }, (_, i) => dy[t * d + i]);
    const token = referenceToken(layer, xt, modality[t]);
    const { chosen, weights, outputs, probabilities } = token;
    chosen.forEach((e, slot) => {
      const { gate, up, h } = inner(layer, e, xt);
      for (let j = 0; j < f; j++) {
        let dh = 0;
        for (let i = 0; i < d; i++) {
          const at = (e * d + i) * f + j;
          gradients.down[at] += weights[slot] * dyt[i] * h[j];
          dh += weights[slot] * dyt[i] * layer.down[at];
        }
        const s = sigmoid(gate[j]);
        const dGate = dh * up[j] * s * (1 + gate[j] * (1 - s)), dUp = dh * gate[j] * s;
        for (let i = 0; i < d; i++) {
          const g = (e * 2 * f + j) * d + i, u = (e * 2 * f + f + j) * d + i;
          gradients.gateUp[g] += dGate * xt[i];
          gradients.gateUp[u] += dUp * xt[i];
          gradients.x[t * d + i] += dGate * layer.gateUp[g] + dUp * layer.gateUp[u];
        }
      }
    });
    const { experts, router } = table.pools[modality[t]];
    if (router === undefined) return token;
    const dWeights = outputs.map((out) => dot(out, dyt, d));
    // dL/dp: through w = p / Σ p of the chosen, or w = p.
    const sum = table.renormalise ? chosen.reduce((s, e) => s + probabilities[e], 0) : 1;
    const mean = table.renormalise ? dWeights.reduce((s, w, i) => s + w * weights[i], 0) : 0;
    const dp = new Array(table.experts.length).fill(0);
    chosen.forEach((e, slot) => dp[e] = (dWeights[slot] - mean) / sum);
    const centre = experts.reduce((s, e) => s + dp[e] * probabilities[e], 0);
    experts.forEach((e, j) => {
      const dLogit = probabilities[e] * (dp[e] - centre);
      for (let i = 0; i < d; i++) {
        gradients.routers[router][j * d + i] += dLogit * xt[i];
        gradients.x[t * d + i] += dLogit * layer.routers[router][j * d + i];
      }
    });
    return token;
  });
  return { tokens, y: tokens.flatMap((t) => t.y), gradients };
}
