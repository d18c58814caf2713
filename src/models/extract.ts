/** From a mixture of experts back to a dense model (paper table 6 and section A.3). */
import { dense, type FeedForward, type PoolTable } from "../moe/mod.ts";
import { tensor } from "../tensor/mod.ts";
import { type ExpertsNamed, expertsNamed } from "./experts_named.ts";
import type { AnyPublished } from "./load_published.ts";
import {
  copyTree,
  languageOf,
  type LanguageOwner,
  ownerOf,
  type Remade,
  remade,
  withLayers,
} from "./model_tree.ts";

/** Shares of experts or groups in their mean, such as `{ S1: 3, S2: 1 }`; their sum may be any. */
export type ExpertShares = Readonly<Record<string, number>>;

/**
 * A dense model that uses one expert of each mixture layer, or the mean of several, for all tokens with
 * weight 1; everything else is copied. If all experts are equal and weights sum to 1, it gives what the
 * mixture gives; one expert of an upcycled model that was not trained is the dense model's network to
 * the bit. It has weights of its own, so either model can be trained or freed alone.
 *
 * The paper takes the shared row of its table 6 from MoIIE (`S1`), the other two from a trained modality
 * MoE (`vision`, `language`); all of them can be taken from one MoIIE as well.
 *
 * @param model the library's own, or a published one: a language model, a LLaVA, a loaded checkpoint
 * @param kept an expert (`S1`), a group (`shared`: the mean of its experts), several names, or shares
 * of a weighted mean
 * @throws {RangeError} if the model has no mixture layers, a name is unknown, shares are negative or
 * all zero, slices of experts are not kept whole, or the table has always-on experts, for which one
 * dense network has no place.
 */
export async function extractDense<M extends LanguageOwner | AnyPublished>(
  model: M,
  kept: ExpertsNamed | ExpertShares,
): Promise<Remade<M>> {
  const owner: LanguageOwner = ownerOf(model), { blocks } = languageOf(owner);
  const table = blocks.find((b) => b.ffn.table.experts.length > 1)?.ffn.table;
  if (!table) {
    throw new RangeError("extractDense: the model has no mixture layers, it is dense already");
  }
  if (table.alwaysOn) {
    throw new RangeError(
      "extractDense: the model's always-on experts work beside every other one, which one dense " +
        "network of the same width cannot do; extract from a model without them",
    );
  }
  const shares = sharesOf(table, kept);
  const made = await withLayers(
    owner,
    async (layer) =>
      layer.table.experts.length === 1 ? await copyTree(layer) : await meanExpert(layer, shares),
  );
  return remade(model, denseSettings(made));
}

/** The model without what its settings say of experts. */
function denseSettings(model: LanguageOwner): LanguageOwner {
  if ("text" in model) return { ...model, text: { ...model.text, coefficients: [] } };
  if ("coefficients" in model) return { ...model, coefficients: [] };
  const { routing: _, ...config } = model.config;
  return { ...model, config: { ...config, ffn: dense(), placement: "none" } };
}

/** Share of every expert that is kept, by its number; of slices, that of the whole expert. */
function sharesOf(table: PoolTable, kept: ExpertsNamed | ExpertShares): Map<number, number> {
  const { split = 1 } = table;
  const isNamed = typeof kept === "string" || Array.isArray(kept);
  const weighted = isNamed ? [[kept, 1] as const] : Object.entries(kept as ExpertShares);
  if (weighted.some(([, w]) => !(w >= 0 && w < Infinity)) || !weighted.some(([, w]) => w > 0)) {
    throw new RangeError(
      `extractDense: shares ${JSON.stringify(kept)} must be numbers of at least 0, not all 0`,
    );
  }
  const total = weighted.reduce((sum, [, w]) => sum + w, 0);
  const shares = new Map<number, number>();
  for (const [which, weight] of weighted) {
    const experts = expertsNamed(table, which);
    if (experts.some((e, i) => e % split !== i % split) || experts.length % split !== 0) {
      throw new RangeError(
        `extractDense: ${which} is a slice of an expert; name whole experts, such as ` +
          `${table.experts[0].name.replace(/\.\d+$/, "")}`,
      );
    }
    const share = weight / total / (experts.length / split);
    for (const e of experts) shares.set(e, (shares.get(e) ?? 0) + share);
  }
  return shares;
}

/** A dense layer of the mean of some experts. Slices become neighbouring units of one network. */
async function meanExpert(
  layer: FeedForward,
  shares: ReadonlyMap<number, number>,
): Promise<FeedForward> {
  const { split = 1 } = layer.table;
  const [, inner, width] = layer.gateUp.shape, part = inner / 2, hidden = part * split;
  const from = { gateUp: await layer.gateUp.data(), down: await layer.down.data() };
  // -0 + x is x for every x, also where x is -0: a single expert is taken to the bit.
  const gateUp = new Float32Array(2 * hidden * width).fill(-0);
  const down = new Float32Array(width * hidden).fill(-0);
  for (const [e, share] of shares) {
    if (share === 0) continue;
    const slice = e % split;
    for (let half = 0; half < 2; half++) {
      const read = (e * inner + half * part) * width;
      const write = (half * hidden + slice * part) * width;
      for (let i = 0; i < part * width; i++) gateUp[write + i] += from.gateUp[read + i] * share;
    }
    // A slice had 1 / split of its expert's weight.
    for (let row = 0; row < width; row++) {
      const read = (e * width + row) * part, write = row * hidden + slice * part;
      for (let i = 0; i < part; i++) down[write + i] += from.down[read + i] * share / split;
    }
  }
  return {
    table: dense(),
    routers: [],
    gateUp: tensor(gateUp, { shape: [1, 2 * hidden, width], dtype: layer.gateUp.dtype }),
    down: tensor(down, { shape: [1, width, hidden], dtype: layer.down.dtype }),
  };
}
