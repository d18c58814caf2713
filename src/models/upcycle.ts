/**
 * From a dense model to a mixture of experts: experts start as copies of the dense network, whole or
 * in slices, exact or shaken.
 */
import {
  type FeedForward,
  makeRouters,
  type PoolTable,
  routingOf,
  type RoutingOptions,
} from "../moe/mod.ts";
import { constant, normal, parameters } from "../nn/mod.ts";
import {
  div,
  evaluate,
  expand,
  mul,
  norm,
  permute,
  type Random,
  reshape,
  setValues,
  sub,
  type Tensor,
  tensor,
  unknownName,
} from "../tensor/mod.ts";
import { type LvlmConfig, moeLayers } from "./config.ts";
import type { Language } from "./lvlm.ts";
import { reinitialise } from "./drop_upcycling.ts";

/** How copies are made to differ. Without any, they are equal, as published. */
export interface UpcycleOptions {
  /** Standard deviation of normal noise on every expert's weights (1e-3 is usual). Default 0. */
  noise?: number;
  /**
   * Share of the inner units of every expert that start anew (Drop-Upcycling, Nakamura et al., arXiv
   * 2502.19261, who find 0.5 best). Default 0.
   */
  drop?: number;
}

/** How one layer is upcycled. */
export interface UpcycleLayerOptions extends UpcycleOptions {
  /** How the new layer spreads tokens. Default as published. */
  routing?: RoutingOptions;
}

/** @throws {RangeError} on an unknown option, or a number out of range. */
function check({ routing: _, ...options }: UpcycleLayerOptions): void {
  for (const [name, value] of Object.entries(options)) {
    if (name !== "noise" && name !== "drop") {
      throw unknownName("upcycle option", name, ["noise", "drop"]);
    }
    const most = name === "drop" ? 1 : Infinity;
    if (value !== undefined && !(value >= 0 && value <= most)) {
      throw new RangeError(
        `upcycle: ${name} = ${value} must be a number of at least 0${
          name === "drop" ? " and at most 1, a share of the inner units" : ""
        }`,
      );
    }
  }
}

/**
 * Copies a dense layer into every expert of a table, with new routers (paper section 2.3: sparse
 * upcycling, Komatsuzaki et al. 2023). Without noise or drop the layer's result does not change, if
 * weights are renormalised and every token keeps all its experts: the copies are equal and their
 * weights sum to 1.
 *
 * With `split`, each expert gets F / split of the dense network's F units, and its down projection is
 * multiplied by split. The router outputs of the slices of one expert start equal (virtual groups, He
 * et al., arXiv 2410.07524), so that they are chosen together, each with 1 / split of their joint
 * weight: the sum is still exact. Always-on experts start with the dense network's gate and up
 * projections and a down projection of zeros, which adds nothing at first.
 *
 * @throws {RangeError} if the layer already has several experts, its inner width is not divided by the
 * split, or an option is out of range.
 */
export async function upcycleLayer(
  layer: FeedForward,
  table: PoolTable,
  random: Random,
  options: UpcycleLayerOptions = {},
): Promise<FeedForward> {
  check(options);
  if (layer.table.experts.length !== 1) {
    throw new RangeError(
      `upcycle: the layer already has ${layer.table.experts.length} experts; only a dense one can ` +
        `be copied`,
    );
  }
  const { noise = 0, drop = 0 } = options, { split = 1 } = table;
  const [, inner, width] = layer.gateUp.shape;
  if (inner / 2 % split !== 0) {
    throw new RangeError(`upcycle: ${split} slices do not divide the inner width ${inner / 2}`);
  }
  const made: FeedForward = {
    table,
    routers: makeRouters(random, table, width, { copies: split }),
    ...(split === 1 ? await copies(layer, table) : await slices(layer, table)),
    ...routingOf(table, options.routing),
  };
  if (drop > 0) await reinitialise(made, drop, random.fork("drop"));
  if (noise > 0) await shake([made.gateUp, made.down], noise, random.fork("noise"));
  if (table.alwaysOn) made.alwaysOn = await silentCopy(layer, table, random.fork("always-on"));
  return made;
}

async function copies(layer: FeedForward, table: PoolTable): Promise<Projections> {
  const count = table.experts.length;
  const [, inner, width] = layer.gateUp.shape;
  const gateUp = expand(layer.gateUp, [count, inner, width]);
  const down = expand(layer.down, [count, width, inner / 2]);
  await evaluate(gateUp, down);
  return { gateUp, down };
}

/** The projections of all experts. */
type Projections = Pick<FeedForward, "gateUp" | "down">;

/** Expert e gets slice e mod split of the inner units. */
async function slices(layer: FeedForward, { experts, split = 1 }: PoolTable): Promise<Projections> {
  const [, inner, width] = layer.gateUp.shape;
  const hidden = inner / 2, part = hidden / split, count = experts.length;
  // [2, split, part, D] -> [split, 2, part, D], then as often as there are whole experts
  const gateUp = reshape(
    permute(reshape(layer.gateUp, [2, split, part, width]), [1, 0, 2, 3]),
    [1, split, 2 * part, width],
  );
  const down = reshape(
    permute(mul(reshape(layer.down, [width, split, part]), split), [1, 0, 2]),
    [1, split, width, part],
  );
  const repeat = (x: Tensor): Tensor => {
    const [, , rows, columns] = x.shape;
    return reshape(expand(x, [count / split, split, rows, columns]), [count, rows, columns]);
  };
  const made = { gateUp: repeat(gateUp), down: repeat(down) };
  await evaluate(made.gateUp, made.down);
  return made;
}

/** Adds normal noise to leaves. */
async function shake(tensors: readonly Tensor[], std: number, random: Random): Promise<void> {
  for (const t of tensors) {
    const values = await t.data() as Float32Array;
    const noise = random.normals(t.size, 0, std);
    setValues(t, values.map((v, i) => v + noise[i]));
  }
}

/** Always-on experts that add nothing yet. */
async function silentCopy(
  layer: FeedForward,
  { alwaysOn, split = 1 }: PoolTable,
  random: Random,
): Promise<NonNullable<FeedForward["alwaysOn"]>> {
  const { experts, gate } = alwaysOn!;
  const [, inner, width] = layer.gateUp.shape;
  const hidden = inner / 2, units = experts * hidden / split;
  const values = await layer.gateUp.data();
  const gateUp = new Float32Array(2 * units * width);
  for (let half = 0; half < 2; half++) {
    for (let unit = 0; unit < units; unit++) {
      const from = (half * hidden + unit % hidden) * width;
      gateUp.set(values.subarray(from, from + width), (half * units + unit) * width);
    }
  }
  return {
    gateUp: tensor(gateUp, { shape: [2 * units, width] }),
    down: constant([width, units], 0),
    ...(gate && { gate: normal(random, [1, width], 0.02) }),
  };
}

/** What upcycling needs of a model: a language model, and which experts it is to have. */
export interface Upcyclable {
  /** The experts and where they go. */
  config: Pick<LvlmConfig, "ffn" | "placement" | "routing">;
  /** Its feed-forward layers are replaced. */
  language: Language;
}

/**
 * Gives a dense model the experts of its configuration, in place: the layers that its placement
 * names. A model whose variant is dense stays as it is.
 */
export async function upcycle<Model extends Upcyclable>(
  model: Model,
  random: Random,
  options: UpcycleOptions = {},
): Promise<Model> {
  const { ffn, placement, routing } = model.config;
  check(options);
  if (ffn.experts.length === 1) return model;
  for (const i of moeLayers(placement, model.language.blocks.length)) {
    const block = model.language.blocks[i];
    const dense = block.ffn;
    block.ffn = await upcycleLayer(dense, ffn, random.fork(`router ${i}`), { ...options, routing });
    dense.gateUp.dispose();
    dense.down.dispose();
  }
  parameters(model); // names the new ones by path, for error messages
  return model;
}

/**
 * Equivalence receipt of upcycling: ‖y - y₀‖ / ‖y₀‖ of a result and the dense model's for the same
 * input, near 1e-7 when nothing but the order of additions differs.
 */
export async function relativeDifference(result: Tensor, dense: Tensor): Promise<number> {
  return await div(norm(sub(result, dense)), norm(dense)).item();
}
