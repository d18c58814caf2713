/** Which experts a model's tokens choose: recorded on the questions of a data set. */
import { type EmojiVqa, questionBatches } from "../data/mod.ts";
import { applyLvlm, type Lvlm, type LvlmInputs } from "../models/mod.ts";
import {
  cellOf,
  recordOf,
  type RoutingRecord,
  routingSums,
  sharedExperts,
  type TokenChoices,
} from "../moe/mod.ts";
import { compile, type Inputs, readAll, type Tensor } from "../tensor/mod.ts";
import { batchInputs, type ClassInputs, TOKEN_CLASSES, tokenClasses } from "../train/mod.ts";
import type { RoutingSummary } from "./routing_summary.ts";
import { EVALUATION_ROWS, fillBatch, rowOptions, type TestSplit } from "./evaluate.ts";

/** Options of {@linkcode routingRecords} and {@linkcode recordRouting}. */
export interface RecordOptions {
  /** Split whose questions are asked. Default `val`. */
  split?: TestSplit;
  /** Ask about the first samples only. Default 200. */
  limit?: number;
  /** Rows of a batch. Default 50. */
  batchSize?: number;
}

/** Places of a model's mixture layers. */
export function mixtureLayers(model: Lvlm): number[] {
  return model.language.blocks.flatMap((b, i) => b.ffn.table.experts.length > 1 ? [i] : []);
}

/**
 * Records the routing of every mixture layer on the questions of each family: choices, probabilities,
 * entropy, margin and pairs of experts, for each modality and class of tokens ({@linkcode TOKEN_CLASSES})
 * apart. Prompt and answer go through the model together; tokens are summed on the device.
 *
 * @returns one record for each family; empty for a dense model
 */
export async function routingRecords(
  model: Lvlm,
  data: EmojiVqa,
  options: RecordOptions = {},
): Promise<RoutingRecord[]> {
  const { split = "val", limit = 200, batchSize = EVALUATION_ROWS } = options;
  const layers = mixtureLayers(model), table = model.config.ffn, names = TOKEN_CLASSES;
  if (layers.length === 0) return [];
  const record = compile<Inputs, { sums: Tensor }>((inputs) => {
    const { routings } = applyLvlm(model, inputs as unknown as LvlmInputs);
    const classes = tokenClasses(inputs as unknown as ClassInputs);
    return { sums: routingSums(routings, { classes, names }) };
  });
  try {
    const records: RoutingRecord[] = [];
    for (const family of data.families) {
      let sums: Float64Array | undefined;
      const batches = questionBatches(data, split, {
        ...rowOptions(model, data),
        batchSize,
        limit,
        families: [family],
      });
      for (const { batch } of batches) {
        const out = await record(batchInputs(fillBatch(batch, batchSize), data.imageSize));
        const got = await out.sums.data();
        sums ??= new Float64Array(got.length);
        for (let i = 0; i < got.length; i++) sums[i] += got[i];
      }
      records.push(recordOf(sums ?? [], { table, layers, names, benchmark: family }));
    }
    return records;
  } finally {
    record.dispose();
  }
}

/** Routing of one training step. */
export interface RecordedStep {
  /** Name of the stage. */
  readonly stage: string;
  /** Step of the stage. */
  readonly step: number;
  /** The record of the step's batch. */
  readonly routing: RoutingRecord;
}

/** The recorded steps of a training, see `recordEvery` of `fit()`. */
export function recordedSteps(
  records: readonly { stage: string; step: number; routing?: RoutingRecord }[],
): RecordedStep[] {
  return records.flatMap(({ stage, step, routing }) => routing ? [{ stage, step, routing }] : []);
}

/** What the routing figures draw of a record: choices by layer and modality. */
export function summaryOf(record: RoutingRecord): RoutingSummary {
  const shared = sharedExperts(record);
  return {
    benchmark: record.benchmark,
    experts: record.experts,
    layers: record.layers.map(({ layer }) => ({
      layer,
      modalities: record.pools.map(({ modality, experts }) => {
        const { tokens, choices } = cellOf(record, { layer, modality });
        const chanceShared = experts.filter((e) => shared.includes(e)).length / experts.length;
        return { name: modality, tokens, counts: [...choices], chanceShared };
      }),
    })),
  };
}

/**
 * Counts the chosen experts of every mixture layer, for image and text tokens, on the questions of
 * each family (paper figures 4 and 6: prompt and answer in one forward pass, all top-k choices). With
 * probabilities, pairs and token classes: {@linkcode routingRecords}.
 *
 * @returns one summary for each family; empty for a dense model
 */
export async function recordRouting(
  model: Lvlm,
  data: EmojiVqa,
  options: RecordOptions = {},
): Promise<RoutingSummary[]> {
  return (await routingRecords(model, data, options)).map(summaryOf);
}

/** Options of {@linkcode recordPaths}. */
export interface PathOptions extends Omit<RecordOptions, "limit"> {
  /** Record at most so many tokens, as many of each family. Default 8000. */
  mostTokens?: number;
}

/**
 * Records the chosen experts of single tokens in every mixture layer, on the first questions of each
 * family: for paths, words, and what changes while a model learns (record before and after with the
 * same options, and the tokens are the same).
 *
 * @throws {RangeError} if the model has no mixture layers.
 */
export async function recordPaths(
  model: Lvlm,
  data: EmojiVqa,
  options: PathOptions = {},
): Promise<TokenChoices> {
  const { split = "val", batchSize = EVALUATION_ROWS, mostTokens = 8000 } = options;
  const layers = mixtureLayers(model), { families } = data;
  if (layers.length === 0) {
    throw new RangeError("recordPaths: the model has no mixture layers; train one with experts");
  }
  const { experts, pools, topK } = model.config.ffn;
  const route = compile<Inputs, { chosen: Tensor[]; modality: Tensor; classes: Tensor }>(
    (inputs) => {
      const { routings } = applyLvlm(model, inputs as unknown as LvlmInputs);
      return {
        chosen: routings.map((r) => r.chosen),
        modality: routings[0].modality,
        classes: tokenClasses(inputs as unknown as ClassInputs),
      };
    },
  );
  const rows = { ids: [], modality: [], classes: [], benchmarks: [] } as Record<string, number[]>;
  const chosen: number[][] = layers.map(() => []);
  let slots = topK;
  try {
    for (const [number, family] of families.entries()) {
      let room = Math.floor(mostTokens / families.length);
      const batches = questionBatches(data, split, {
        ...rowOptions(model, data),
        batchSize,
        families: [family],
      });
      for (const { batch } of batches) {
        if (room <= 0) break;
        const full = fillBatch(batch, batchSize);
        const out = await route(batchInputs(full, data.imageSize));
        const [modality, classes, ...picked] = await readAll(
          out.modality,
          out.classes,
          ...out.chosen,
        );
        slots = picked[0].length / full.tokens.length;
        for (let t = 0; t < full.tokens.length && room > 0; t++) {
          if (classes[t] < 0) continue;
          rows.ids.push(full.tokens[t]);
          rows.modality.push(modality[t]);
          rows.classes.push(classes[t]);
          rows.benchmarks.push(number);
          picked.forEach((p, l) => chosen[l].push(...p.subarray(t * slots, (t + 1) * slots)));
          room--;
        }
      }
    }
  } finally {
    route.dispose();
  }
  const { ids, modality, classes, benchmarks } = rows;
  return {
    experts,
    pools: pools.map(({ modality, experts }) => ({ modality, experts })),
    topK,
    layers,
    tokens: ids.length,
    ids: Int32Array.from(ids),
    modality: Int32Array.from(modality),
    classes: Int32Array.from(classes),
    classNames: TOKEN_CLASSES,
    benchmarks: Int32Array.from(benchmarks),
    benchmarkNames: families,
    chosen: Int32Array.from(chosen.flat()),
    slots,
  };
}
