/** Which experts a model's tokens choose: recorded on the questions of a data set. */
import { type EmojiVqa, questionBatches } from "../data/mod.ts";
import { applyLvlm, type Lvlm, type LvlmInputs } from "../models/mod.ts";
import { chanceOfShared, choiceCounts, tokenCounts } from "../moe/mod.ts";
import { compile, type Inputs, type Tensor } from "../tensor/mod.ts";
import { batchInputs } from "../train/mod.ts";
import type { RoutingSummary } from "./routing_summary.ts";
import { EVALUATION_ROWS, fillBatch, rowOptions, type TestSplit } from "./evaluate.ts";

/** Options of {@linkcode recordRouting}. */
export interface RecordOptions {
  /** Split whose questions are asked. Default `val`. */
  split?: TestSplit;
  /** Ask about the first samples only. Default 200. */
  limit?: number;
  /** Rows of a batch. Default 50. */
  batchSize?: number;
}

/**
 * Counts the chosen experts of every mixture layer, for image and text tokens, on the questions of
 * each family (paper figures 4 and 6: prompt and answer in one forward pass, all top-k choices).
 *
 * @returns one summary for each family; empty for a dense model
 */
export async function recordRouting(
  model: Lvlm,
  data: EmojiVqa,
  options: RecordOptions = {},
): Promise<RoutingSummary[]> {
  const { split = "val", limit = 200, batchSize = EVALUATION_ROWS } = options;
  const { ffn } = model.config;
  const layers = model.language.blocks.flatMap((b, i) => b.ffn.table.experts.length > 1 ? [i] : []);
  if (layers.length === 0) return [];
  const count = compile<Inputs, { choices: Tensor[]; tokens: Tensor[] }>((inputs) => {
    const { routings } = applyLvlm(model, inputs as unknown as LvlmInputs);
    return { choices: routings.map(choiceCounts), tokens: routings.map(tokenCounts) };
  });
  try {
    const summaries: RoutingSummary[] = [];
    for (const family of data.families) {
      const experts = ffn.experts.length, modalities = ffn.pools.length;
      const choices = layers.map(() => new Float64Array(modalities * experts));
      const tokens = layers.map(() => new Float64Array(modalities));
      const batches = questionBatches(data, split, {
        ...rowOptions(model, data),
        batchSize,
        limit,
        families: [family],
      });
      for (const { batch } of batches) {
        const out = await count(batchInputs(fillBatch(batch, batchSize), data.imageSize));
        const got = await Promise.all([...out.choices, ...out.tokens].map((t) => t.data()));
        layers.forEach((_, l) => {
          got[l].forEach((n, i) => choices[l][i] += n);
          got[layers.length + l].forEach((n, i) => tokens[l][i] += n);
        });
      }
      summaries.push({
        benchmark: family,
        experts: ffn.experts,
        layers: layers.map((layer, l) => ({
          layer,
          modalities: ffn.pools.map(({ modality }, m) => ({
            name: modality,
            tokens: tokens[l][m],
            counts: [...choices[l].subarray(m * experts, (m + 1) * experts)],
            chanceShared: chanceOfShared(ffn, m),
          })),
        })),
      });
    }
    return summaries;
  } finally {
    count.dispose();
  }
}
