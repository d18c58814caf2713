/** From a dense model to a mixture of experts: every expert starts as a copy of the dense network. */
import { type FeedForward, makeRouters, type PoolTable } from "../moe/mod.ts";
import { parameters } from "../nn/mod.ts";
import { evaluate, expand, type Random } from "../tensor/mod.ts";
import { moeLayers } from "./config.ts";
import type { Lvlm } from "./lvlm.ts";

/**
 * Copies a dense layer into every expert of a table, with new routers (paper section 2.3: sparse
 * upcycling, Komatsuzaki et al. 2023). The layer's result does not change: the copies are equal and
 * their weights sum to 1 (with `renormalise`).
 *
 * @throws {RangeError} if the layer already has several experts.
 */
export async function upcycleLayer(
  layer: FeedForward,
  table: PoolTable,
  random: Random,
): Promise<FeedForward> {
  if (layer.table.experts.length !== 1) {
    throw new RangeError(
      `upcycle: the layer already has ${layer.table.experts.length} experts; only a dense one can ` +
        `be copied`,
    );
  }
  const count = table.experts.length;
  const [, inner, width] = layer.gateUp.shape;
  const gateUp = expand(layer.gateUp, [count, inner, width]);
  const down = expand(layer.down, [count, width, inner / 2]);
  await evaluate(gateUp, down);
  return { table, routers: makeRouters(random, table, width), gateUp, down };
}

/**
 * Gives a dense model the experts of its configuration, in place: the layers that its placement
 * names. A model whose variant is dense stays as it is.
 */
export async function upcycle(model: Lvlm, random: Random): Promise<Lvlm> {
  const { ffn, placement } = model.config;
  if (ffn.experts.length === 1) return model;
  for (const i of moeLayers(placement, model.language.blocks.length)) {
    const block = model.language.blocks[i];
    const dense = block.ffn;
    block.ffn = await upcycleLayer(dense, ffn, random.fork(`router ${i}`));
    dense.gateUp.dispose();
    dense.down.dispose();
  }
  parameters(model); // names the new ones by path, for error messages
  return model;
}
