/**
 * Mixture-of-experts layers: forward, balance losses and gradients of one layer with given weights.
 * A folder holds the layer's `weights.safetensors`, every other file is one case on it.
 *
 * @module
 */
import type { Safetensors } from "../../models/safetensors.ts";
import {
  applyFeedForward,
  type FeedForward,
  IMAGE,
  moiie,
  type PoolTable,
  routerLoads,
  routersOf,
  TEXT,
  vanillaMoe,
} from "../../moe/mod.ts";
import {
  add,
  cat,
  gradients,
  linear,
  mul,
  reshape,
  stack,
  sum,
  take,
  type Tensor,
  tensor,
} from "../../tensor/mod.ts";
import type { Case } from "./case.ts";
import type { Comparison } from "./compare.ts";
import type { FileEntry, Folder } from "./folder.ts";
import { compareAll, leaf } from "./operation.ts";

/** Suffix of a router's tensors, by the modality whose tokens it scores. */
const SUFFIX: Readonly<Record<number, string>> = { [TEXT]: "_l", [IMAGE]: "_v" };

/** The table that the parameters of a weights file mean. */
function tableOf(params: FileEntry["params"], use: FileEntry["params"]): PoolTable {
  const count = (name: string): number => {
    const n = params[name];
    if (typeof n !== "number") throw new SyntaxError(`layer parameter "${name}" is ${n}`);
    return n;
  };
  const topK = count("top_k"), renormalise = use.renormalise !== false;
  if (params.vanilla === true) return vanillaMoe({ experts: count("S"), topK, renormalise });
  const groups = { vision: count("V"), language: count("L"), shared: count("S") };
  return moiie({ ...groups, topK, renormalise });
}

/** A layer made of the leaves of a weights file, so that gradients reach each of them. */
function layerOf(
  table: PoolTable,
  weights: ReadonlyMap<string, Tensor>,
  suffixes: readonly string[],
): FeedForward {
  const get = (name: string): Tensor => {
    const t = weights.get(name);
    if (!t) throw new RangeError(`the weights lack "${name}"`);
    return t;
  };
  const each = (f: (expert: string) => Tensor) =>
    stack(table.experts.map((_, e) => f(`experts.${e}`)), 0);
  return {
    table,
    routers: suffixes.map((suffix) => get(`router${suffix}.weight`)),
    gateUp: each((e) => cat([get(`${e}.w1.weight`), get(`${e}.w3.weight`)], 0)),
    down: each((e) => get(`${e}.w2.weight`)),
  };
}

/** Computes everything that the file has a reference for. */
function computeLayer(
  table: PoolTable,
  weights: ReadonlyMap<string, Tensor>,
  data: Safetensors,
  coefficient: number,
): Map<string, Tensor> {
  const routers = routersOf(table);
  const suffixes = routers.map(({ modalities }) =>
    modalities.length > 1 ? "" : SUFFIX[modalities[0]]
  );
  const layer = layerOf(table, weights, suffixes);
  const x = leaf(data.tensor("in.x"), "x"), gout = leaf(data.tensor("in.gout"), "gout");
  const [batch, length, width] = x.shape, tokens = batch * length;
  const flat = (name: string) => reshape(leaf(data.tensor(name), name), [tokens]);
  const rows = reshape(x, [tokens, width]);
  const { y, routing } = applyFeedForward(layer, rows, {
    modality: flat("in.is_image"), // TEXT is 0 and IMAGE is 1, as there
    valid: data.has("in.attention_mask") ? flat("in.attention_mask") : undefined,
  });
  if (!routing) throw new RangeError("a layer of one expert has no routing");
  const perSlot = [batch, length, table.topK];
  const results = new Map<string, Tensor>([
    ["out.y", reshape(y, x.shape)],
    ["out.chosen", reshape(routing.chosen, perSlot)],
    ["out.chosen_weights", reshape(routing.weights, perSlot)],
  ]);
  const slots = routerLoads([routing]),
    fraction = routerLoads([routing], { convention: "fraction" });
  const task = sum(mul(results.get("out.y")!, gout));
  let total = task;
  const isImage = Array.from(data.tensor("in.is_image").data as Int32Array);
  routers.forEach(({ experts, modalities }, r) => {
    const suffix = suffixes[r];
    const mine = isImage.flatMap((m, i) => modalities.includes(m) ? [i] : []);
    const picked = tensor(Int32Array.from(mine)), columns = tensor(Int32Array.from(experts));
    results.set(`out.router_logits${suffix}`, linear(take(rows, picked), layer.routers[r]));
    results.set(
      `out.router_probs${suffix}`,
      take(take(routing.probabilities, picked), columns, 1),
    );
    results.set(`out.expert_load${suffix}`, slots[r].load);
    results.set(`out.mean_prob${suffix}`, slots[r].meanProbability);
    results.set(`out.aux${suffix}_slots`, slots[r].loss);
    results.set(`out.aux${suffix}_fraction`, fraction[r].loss);
    total = add(total, mul(slots[r].loss, coefficient));
  });
  results.set("out.task_loss", task).set("out.total_loss", total);
  const names = ["x", ...weights.keys()], wrt = [x, ...weights.values()];
  for (const [loss, of] of [[total, "grad_total"], [task, "grad_task"]] as const) {
    gradients(loss, wrt).forEach((g, i) => results.set(`${of}.${names[i]}`, g));
  }
  return results;
}

/** The cases on one layer. */
export function mixtureCases(folder: Folder, file: FileEntry): Case[] {
  if (file.kind === "weights") return [];
  const [, group, name] = /^(.*)\/(.*)\.safetensors$/.exec(file.path)!;
  return [{
    group,
    name,
    run: async () => {
      const stored = folder.files.find((f) => f.path === `${group}/weights.safetensors`);
      if (!stored) throw new RangeError(`${group} has no weights.safetensors in the index`);
      const data = folder.open(file), from = folder.open(stored);
      const weights = new Map(
        Object.keys(stored.tensors).map((n) => [n, leaf(from.tensor(n), n)]),
      );
      const coefficient = file.params.aux_coef;
      if (typeof coefficient !== "number") throw new SyntaxError(`${file.path}: no aux_coef`);
      const table = tableOf(stored.params, file.params);
      const all = computeLayer(table, weights, data, coefficient);
      const wanted = Object.entries(file.tensors).filter(([, t]) => t.role !== "in");
      const results = new Map<string, Tensor>();
      const missing: Comparison[] = [];
      for (const [key] of wanted) {
        const t = all.get(key);
        if (t) results.set(key, t);
        else missing.push({ name: key, passed: false, allowance: false, message: "not computed" });
      }
      const comparisons = [...missing, ...await compareAll(file, data, results)];
      for (const t of [...results.values(), ...weights.values()]) t.dispose();
      return comparisons;
    },
  }];
}
