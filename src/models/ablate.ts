/** Taking experts away from a trained model. */
import { type FeedForward, type PoolTable, routersOf } from "../moe/mod.ts";
import { cat, evaluate, narrow, type Tensor } from "../tensor/mod.ts";
import { type ExpertsNamed, expertsNamed } from "./experts_named.ts";
import type { Lvlm } from "./lvlm.ts";

/**
 * The model without some experts: their router outputs are taken away, so that tokens choose among the
 * others and weights sum to 1 again. Whatever tokens cannot have more of (top-2 of one expert) they go
 * without. What accuracy drops is how much the model needed them.
 *
 * The result shares all weights but the routers with the model: use it for evaluation, and before the
 * model is freed.
 *
 * @param which an expert (`S1`), a group (`shared`), or several names
 * @throws {RangeError} if the model has no mixture layers, a name is unknown, or the tokens of a
 * modality would have no expert left.
 */
export async function ablateExperts(model: Lvlm, which: ExpertsNamed): Promise<Lvlm> {
  if (model.language.blocks.every((b) => b.ffn.table.experts.length === 1)) {
    throw new RangeError("ablateExperts: the model has no mixture layers");
  }
  const { ffn } = model.config;
  const gone = expertsNamed(ffn, which);
  const table = tableWithout(ffn, gone);
  const blocks = [];
  for (const block of model.language.blocks) {
    const isMixture = block.ffn.table.experts.length > 1;
    blocks.push(isMixture ? { ...block, ffn: await layerWithout(block.ffn, table) } : block);
  }
  return {
    ...model,
    config: { ...model.config, ffn: table },
    language: { ...model.language, blocks },
  };
}

/** The table with the same experts, some of them in nobody's pool. */
function tableWithout(table: PoolTable, gone: readonly number[]): PoolTable {
  const names = gone.map((e) => table.experts[e].name);
  const pools = table.pools.map((pool) => {
    const experts = pool.experts.filter((e) => !gone.includes(e));
    if (experts.length > 0) return { ...pool, experts };
    throw new RangeError(
      `ablateExperts: without ${names.join(", ")}, ${pool.modality} tokens have no expert left`,
    );
  });
  return { ...table, variant: `${table.variant} without ${names.join(", ")}`, pools };
}

/** A layer that routes by the smaller table: the rows of its routers that are left. */
async function layerWithout(layer: FeedForward, table: PoolTable): Promise<FeedForward> {
  const before = routersOf(layer.table), after = routersOf(table);
  const rowsLeft = before.map(({ experts }, r) => after[r].experts.map((e) => experts.indexOf(e)));
  const pick = (x: Tensor, rows: readonly number[]) => cat(rows.map((i) => narrow(x, 0, i, 1)), 0);
  const routers = layer.routers.map((router, r) => pick(router, rowsLeft[r]));
  const starts = before.map((_, r) =>
    before.slice(0, r).reduce((n, { experts }) => n + experts.length, 0)
  );
  const columns = rowsLeft.flatMap((rows, r) => rows.map((i) => starts[r] + i));
  const buffers = layer.buffers && { bias: pick(layer.buffers.bias, columns) };
  await evaluate(...routers, ...(buffers ? [buffers.bias] : []));
  return { ...layer, table, routers, ...(buffers && { buffers }) };
}
