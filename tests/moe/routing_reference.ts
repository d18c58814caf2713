/** Routing with all its options, and the layer behind it, as plain loops in float64, forward only. */
import { routersOf, type RoutingOptions } from "../../src/moe/mod.ts";
import type { ReferenceLayer } from "./reference.ts";

/** A layer's numbers, with always-on experts. */
export interface OptionLayer extends ReferenceLayer {
  /** Biases of the joined router outputs. */
  bias?: ArrayLike<number>;
  /** Always-on experts: `[2G, D]`, `[D, G]`, `[D]`. */
  alwaysOn?: { gateUp: ArrayLike<number>; down: ArrayLike<number>; gate?: ArrayLike<number> };
}

/** Tokens in numbers. */
export interface OptionTokens {
  x: ArrayLike<number>;
  modality: readonly number[];
  valid?: readonly number[];
  jitter?: ArrayLike<number>;
  noise?: ArrayLike<number>;
}

/** One token's choices: experts with weights, and whether there was room. */
export interface OptionChoice {
  expert: number;
  weight: number;
  kept: boolean;
}

const sigmoid = (z: number) => 1 / (1 + Math.exp(-z));

/** down (silu(gate x) · up x) of one SwiGLU network. */
function swiglu(
  gateUp: ArrayLike<number>,
  down: ArrayLike<number>,
  x: readonly number[],
): number[] {
  const d = x.length, f = gateUp.length / d / 2;
  const row = (r: number) => x.reduce((s, v, i) => s + gateUp[r * d + i] * v, 0);
  const h = Array.from({ length: f }, (_, u) => {
    const g = row(u);
    return g * sigmoid(g) * row(f + u);
  });
  return x.map((_, i) => h.reduce((s, v, u) => s + down[i * f + u] * v, 0));
}

const part = (all: ArrayLike<number>, from: number, size: number): number[] =>
  Array.from({ length: size }, (_, i) => all[from + i]);

/** Affinity of a token to every expert of its pool, and its router's columns. */
function scoresOf(layer: OptionLayer, tokens: OptionTokens, t: number, options: RoutingOptions) {
  const { table, width } = layer;
  const { experts, router } = table.pools[tokens.modality[t]];
  const sizes = routersOf(table).map((r) => r.experts.length);
  const columns = sizes.reduce((a, b) => a + b, 0);
  const start = sizes.slice(0, router ?? 0).reduce((a, b) => a + b, 0);
  const logits = experts.map((_, j) => {
    if (router === undefined) return 0;
    let z = 0;
    for (let i = 0; i < width; i++) {
      const factor = tokens.jitter ? tokens.jitter[t * width + i] : 1;
      z += layer.routers[router][j * width + i] * tokens.x[t * width + i] * factor;
    }
    return z + (tokens.noise ? tokens.noise[t * columns + start + j] : 0);
  });
  const top = Math.max(...logits), powers = logits.map((z) => Math.exp(z - top));
  const total = powers.reduce((a, b) => a + b, 0);
  const affinity = options.scores === "sigmoid"
    ? logits.map(sigmoid)
    : powers.map((p) => p / total);
  const rank = affinity.map((a, j) =>
    a + (layer.bias && router !== undefined ? layer.bias[start + j] : 0)
  );
  return { experts, router, affinity, rank };
}

/** Indices in the order of falling value, of equal ones the first first. */
const falling = (values: readonly number[]): number[] =>
  values.map((_, i) => i).sort((a, b) => values[b] - values[a] || a - b);

/** What every token is sent to. */
export function referenceChoices(
  layer: OptionLayer,
  tokens: OptionTokens,
  options: RoutingOptions,
): OptionChoice[][] {
  const { table } = layer;
  const all = tokens.modality.map((_, t) => scoresOf(layer, tokens, t, options));
  const counts = (t: number) => tokens.valid === undefined || tokens.valid[t] !== 0;
  const normal = (list: OptionChoice[]) => {
    const total = list.reduce((s, c) => s + c.weight, 0);
    return table.renormalise && total > 0
      ? list.map((c) => ({ ...c, weight: c.weight / total }))
      : list;
  };
  const room = (router: number, capacity: number) => {
    const { experts, modalities } = routersOf(table)[router];
    const n = tokens.modality.filter((m, t) => modalities.includes(m) && counts(t)).length;
    return Math.ceil(capacity * table.topK * n / experts.length - 1e-3);
  };
  if (options.chooser === "expert") {
    const taken: OptionChoice[][] = all.map(() => []);
    routersOf(table).forEach(({ experts }, router) => {
      const mine = all.flatMap((a, t) => a.router === router && counts(t) ? [t] : []);
      for (const [j, expert] of experts.entries()) {
        const best = falling(mine.map((t) => all[t].affinity[j]));
        for (const at of best.slice(0, room(router, options.capacity ?? 1))) {
          const t = mine[at];
          taken[t].push({ expert, weight: all[t].affinity[j], kept: true });
        }
      }
    });
    all.forEach((a, t) => {
      if (a.router === undefined && counts(t)) {
        taken[t].push({ expert: a.experts[0], weight: 1, kept: true });
      }
    });
    return taken.map(normal);
  }
  const chosen = all.map(({ experts, affinity, rank }) =>
    normal(
      falling(rank).slice(0, table.topK)
        .map((j) => ({ expert: experts[j], weight: affinity[j], kept: true })),
    )
  );
  if (options.capacity === undefined) return chosen;
  routersOf(table).forEach(({ experts }, router) => {
    for (const expert of experts) {
      const queue = Array.from(
        { length: table.topK },
        (_, slot) =>
          chosen.flatMap((list, t) =>
            all[t].router === router && counts(t) && list[slot].expert === expert
              ? [list[slot]]
              : []
          ),
      ).flat();
      const order = options.drop === "weight" ? falling(queue.map((c) => c.weight)) : queue.keys();
      [...order].slice(room(router, options.capacity!)).forEach((at) => queue[at].kept = false);
    }
  });
  return chosen;
}

/** The layer's result, `[T × D]`; choices may be held fixed to differentiate by weights alone. */
export function referenceOptions(
  layer: OptionLayer,
  tokens: OptionTokens,
  options: RoutingOptions,
): number[] {
  const { width: d, hidden: f } = layer;
  const choices = referenceChoices(layer, tokens, options);
  return choices.flatMap((list, t) => {
    const x = part(tokens.x, t * d, d), y = new Array(d).fill(0);
    const add = (factor: number, out: number[]) => out.forEach((v, i) => y[i] += factor * v);
    for (const { expert: e, weight, kept } of list) {
      if (!kept || (tokens.valid && tokens.valid[t] === 0)) continue;
      const gateUp = part(layer.gateUp, e * 2 * f * d, 2 * f * d);
      add(weight, swiglu(gateUp, part(layer.down, e * d * f, d * f), x));
    }
    const { alwaysOn } = layer;
    if (alwaysOn) {
      const gate = alwaysOn.gate;
      const factor = gate ? sigmoid(x.reduce((s, v, i) => s + v * gate[i], 0)) : 1;
      add(factor, swiglu(alwaysOn.gateUp, alwaysOn.down, x));
    }
    return y;
  });
}
