/** From a mixture of experts back to a dense model (paper table 6 and section A.3). */
import { dense, type FeedForward } from "../moe/mod.ts";
import { parameters } from "../nn/mod.ts";
import { Tensor, tensor } from "../tensor/mod.ts";
import { type ExpertsNamed, expertsNamed } from "./experts_named.ts";
import type { LvlmConfig } from "./config.ts";
import type { Lvlm } from "./lvlm.ts";

/**
 * A dense model that uses one expert of each mixture layer, or the mean of several, for all tokens with
 * weight 1; everything else is copied. If all experts are equal and weights sum to 1, it gives what the
 * mixture gives. It has weights of its own, so either model can be trained or freed alone.
 *
 * The paper takes the shared row of its table 6 from MoIIE (`S1`), the other two from a trained modality
 * MoE (`vision`, `language`); all of them can be taken from one MoIIE as well.
 *
 * @param kept an expert (`S1`), a group (`shared`: the mean of its experts), or several names
 * @throws {RangeError} if the model has no mixture layers, a name is unknown, slices of experts are not
 * kept whole, or the table has always-on experts, for which one dense network has no place.
 */
export async function extractDense(model: Lvlm, kept: ExpertsNamed): Promise<Lvlm> {
  const { ffn } = model.config;
  if (model.language.blocks.every((b) => b.ffn.table.experts.length === 1)) {
    throw new RangeError("extractDense: the model has no mixture layers, it is dense already");
  }
  if (ffn.alwaysOn) {
    throw new RangeError(
      "extractDense: the model's always-on experts work beside every other one, which one dense " +
        "network of the same width cannot do; extract from a model without them",
    );
  }
  const experts = expertsNamed(ffn, kept), { split = 1 } = ffn;
  if (experts.some((e, i) => e % split !== i % split) || experts.length % split !== 0) {
    throw new RangeError(
      `extractDense: ${kept} is a slice of an expert; name whole experts, such as ` +
        `${ffn.experts[0].name.replace(/\.\d+$/, "")}`,
    );
  }
  const blocks = [];
  for (const { ffn: layer, ...block } of model.language.blocks) {
    const one = layer.table.experts.length === 1
      ? await copyTree(layer)
      : await meanExpert(layer, experts);
    blocks.push({ ...await copyTree(block), ffn: one });
  }
  const { embedding, norm, head } = model.language;
  const config: LvlmConfig = { ...model.config, ffn: dense(), placement: "none" };
  delete config.routing;
  const extracted: Lvlm = {
    config,
    vision: await copyTree(model.vision),
    connector: await copyTree(model.connector),
    language: { ...await copyTree({ embedding, norm, head }), blocks },
  };
  parameters(extracted); // names the copies by path, for error messages
  return extracted;
}

/** A dense layer of the mean of some experts. Slices become neighbouring units of one network. */
async function meanExpert(layer: FeedForward, experts: readonly number[]): Promise<FeedForward> {
  const { split = 1 } = layer.table;
  const [, inner, width] = layer.gateUp.shape, part = inner / 2, hidden = part * split;
  const from = { gateUp: await layer.gateUp.data(), down: await layer.down.data() };
  const gateUp = new Float32Array(2 * hidden * width), down = new Float32Array(width * hidden);
  const whole = experts.length / split;
  for (const e of experts) {
    const slice = e % split;
    for (let half = 0; half < 2; half++) {
      const read = (e * inner + half * part) * width;
      const write = (half * hidden + slice * part) * width;
      for (let i = 0; i < part * width; i++) gateUp[write + i] += from.gateUp[read + i] / whole;
    }
    // A slice had 1 / split of its expert's weight.
    for (let row = 0; row < width; row++) {
      const read = (e * width + row) * part, write = row * hidden + slice * part;
      for (let i = 0; i < part; i++) down[write + i] += from.down[read + i] / whole / split;
    }
  }
  return {
    table: dense(),
    routers: [],
    gateUp: tensor(gateUp, { shape: [1, 2 * hidden, width] }),
    down: tensor(down, { shape: [1, width, hidden] }),
  };
}

/** A tree with the same settings and copies of the tensors. */
async function copyTree<T>(tree: T): Promise<T> {
  const copy = async (node: unknown): Promise<unknown> => {
    if (node instanceof Tensor) {
      return tensor((await node.data()).slice(), { shape: node.shape, dtype: node.dtype });
    }
    if (Array.isArray(node)) return await Promise.all(node.map(copy));
    if (node === null || typeof node !== "object" || ArrayBuffer.isView(node)) return node;
    const entries = await Promise.all(
      Object.entries(node).map(async ([key, child]) => [key, await copy(child)] as const),
    );
    return Object.fromEntries(entries);
  };
  return await copy(tree) as T;
}
