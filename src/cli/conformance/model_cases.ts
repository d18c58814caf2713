/**
 * Cases on published models: forward pass, greedy generation, gradients, steps of AdamW, a short
 * training run. A folder holds `config.json`, weights in one or several files, and files of reference
 * numbers, of which every one is compared.
 *
 * @module
 */
import { join } from "node:path";
import { type AnyPublished, loadPublished, tokenTypes } from "../../models/mod.ts";
import { compile, gradients, sub, type Tensor } from "../../tensor/mod.ts";
import { topological } from "../../tensor/grad.ts";
import { AdamW } from "../../train/optimizer.ts";
import type { Case } from "./case.ts";
import { compare, type Comparison, expected, type Numbers } from "./compare.ts";
import { type FileEntry, type Folder, objectAt } from "./folder.ts";
import { generateCached, generateGreedily } from "./generation.ts";
import { type Given, givenOf, type Model, modelOf } from "./model_results.ts";
import { routerResults } from "./router_results.ts";

/** A model of a folder, with the leaves it is made of. */
interface Loaded {
  readonly weights: ReadonlyMap<string, Tensor>;
  readonly model: Model;
  readonly published: AnyPublished;
}

/** Reads the model beside a file. */
async function load(folder: Folder, group: string): Promise<Loaded> {
  // Gradients are compared by published names.
  const published = await loadPublished(join(folder.path, group), { join: false });
  return { weights: published.weights, model: modelOf(published), published };
}

/** A result of a model, read. */
interface Read {
  readonly shape: readonly number[];
  readonly values: Numbers;
  /** 0 for rows that are not compared: padding. */
  readonly rows?: ArrayLike<number>;
}

/** The values of the rows that count. */
function rowsOf(values: Numbers, rows: ArrayLike<number>): number[] {
  const width = values.length / rows.length;
  return Array.from(rows).flatMap((counts, row) =>
    counts === 0 ? [] : Array.from({ length: width }, (_, i) => Number(values[row * width + i]))
  );
}

/** Compares a result with what a file holds, except for rows of padding. */
function compareResult(file: FileEntry, folder: Folder, name: string, got: Read): Comparison {
  const want = expected(file, folder.open(file), name);
  const { shape, values, rows } = got;
  if (!rows || shape.join() !== want.shape.join()) {
    return compare({ shape, values, approximate: true }, want);
  }
  const wanted = rowsOf(want.values, rows), some = [wanted.length];
  return compare(
    { shape: some, values: rowsOf(values, rows), approximate: true },
    { ...want, values: wanted, shape: some },
  );
}

/** Which rows of a result count, given which tokens do. */
function countedRows(
  name: string,
  { shape }: Tensor,
  mask: { shape: readonly number[]; values: ArrayLike<number> } | undefined,
): number[] | undefined {
  if (!mask || !/^(logits$|hidden_states\.|attentions\.)/.test(name)) return undefined;
  const [batch, length] = mask.shape, heads = name.startsWith("attentions") ? shape[1] : 1;
  return Array.from(
    { length: batch * heads * length },
    (_, i) => mask.values[Math.floor(i / (heads * length)) * length + i % length],
  );
}

/** A forward pass: everything that the file holds. */
async function runForward(folder: Folder, file: FileEntry, group: string): Promise<Comparison[]> {
  const { model, published } = await load(folder, group);
  const data = folder.open(file), given = givenOf(file, data);
  const { tensors, routings } = model.results(given, file);
  const mask = given.attention_mask && {
    shape: given.attention_mask.shape,
    values: data.tensor("in.attention_mask").data as Int32Array,
  };
  const routed = await routerResults(routings, mask?.values);
  const comparisons: Comparison[] = [];
  for (const [whole, { role }] of Object.entries(file.tensors)) {
    if (role !== "out") continue;
    const name = whole.replace(/^out\./, ""), t = tensors.get(name), router = routed.get(name);
    if (t) {
      const rows = countedRows(name, t, mask);
      const got = { shape: t.shape, values: await t.data(), rows };
      comparisons.push(compareResult(file, folder, whole, got));
    } else if (router) comparisons.push(compareResult(file, folder, whole, router));
    else if (name === "generate.new_tokens" && model.writes) {
      const want = expected(file, data, whole), start = givenOf(file, data, "in.generate.");
      const values = await generateGreedily(model, start, file, want.shape.at(-1)!);
      comparisons.push(compare({ shape: want.shape, values }, want));
      const cached = await generateCached(published, start, want.shape.at(-1)!);
      const again = { ...want, name: `${whole} with a cache` };
      comparisons.push(compare({ shape: want.shape, values: cached }, again));
    } else {
      const message = "the model does not compute it";
      comparisons.push({ name: whole, passed: false, allowance: false, message });
    }
  }
  return comparisons;
}

/** Inputs, and the file they are of. */
interface Batch {
  readonly given: Given;
  readonly file: FileEntry;
}

/** The forward pass that gradients and training steps are about: the folder's `io.safetensors`. */
function batchOf(folder: Folder, group: string): Batch {
  const io = folder.files.find((f) => f.path === `${group}/io.safetensors`);
  if (!io) throw new RangeError(`${group} has no io.safetensors in the index`);
  return { file: io, given: givenOf(io, folder.open(io)) };
}

/** What the gradients are of. */
function totalLoss(model: Model, { given, file }: Batch): Tensor {
  const loss = model.results(given, file).tensors.get("total_loss");
  if (!loss) throw new RangeError(`${file.path} has no labels: there is no loss`);
  return loss;
}

/** A weight by name, or an error. */
function weightOf(weights: ReadonlyMap<string, Tensor>, name: string): Tensor {
  const t = weights.get(name);
  if (!t) throw new RangeError(`the model has no weight "${name}"`);
  return t;
}

async function runGradients(folder: Folder, file: FileEntry, group: string): Promise<Comparison[]> {
  const { model, weights } = await load(folder, group);
  const data = folder.open(file);
  const total = totalLoss(model, batchOf(folder, group));
  const names = Object.keys(file.tensors);
  const wrt = names.map((name) => weightOf(weights, name));
  const f = compile(() => ({ grads: gradients(total, wrt) }));
  const { grads } = await f({});
  const comparisons: Comparison[] = [];
  for (const [i, name] of names.entries()) {
    const got = { shape: grads[i].shape, values: await grads[i].data(), approximate: true };
    comparisons.push(compare(got, expected(file, data, name)));
  }
  f.dispose();
  return comparisons;
}

/** A compiled step on the folder's batch: the loss before it, the gradients' norm, the update. */
function stepOf({ model, weights }: Loaded, batch: Batch, optimizer: AdamW) {
  return compile(({ hyper }: { hyper: Tensor }) => {
    const loss = totalLoss(model, batch);
    const named = [...optimizer.parameters.keys()].map((name) => weights.get(name)!);
    const { effect, gradientNorm } = optimizer.update(gradients(loss, named), hyper);
    return { loss, gradientNorm, effect };
  });
}

async function runAdamW(folder: Folder, file: FileEntry, group: string): Promise<Comparison[]> {
  const loaded = await load(folder, group), data = folder.open(file);
  const { lr, betas, eps, weight_decay } = file.params as {
    lr: number;
    betas: [number, number];
    eps: number;
    weight_decay: number;
  };
  const batch = batchOf(folder, group);
  // Torch leaves parameters alone that the loss does not depend on, weight decay included.
  const used = new Set(topological([totalLoss(loaded.model, batch)]));
  const parameters = new Map([...loaded.weights].filter(([, t]) => used.has(t)));
  const optimizer = new AdamW([{ name: "all", parameters }], {
    betas,
    epsilon: eps,
    weightDecay: weight_decay,
  });
  const step = stepOf(loaded, batch, optimizer);
  const steps = new Map<number, string[]>();
  for (const name of Object.keys(file.tensors)) {
    const at = Number(/^step(\d+)\./.exec(name)?.[1]);
    if (at > 0) steps.set(at, [...steps.get(at) ?? [], name]);
  }
  const comparisons: Comparison[] = [], losses: number[] = [];
  const before = file.tensors.loss_before_each_step?.shape[0] ?? 0;
  for (let t = 1; t <= Math.max(before, ...steps.keys()); t++) {
    const { loss } = await step({
      hyper: { data: optimizer.hyper(lr, t), shape: optimizer.hyperShape },
    });
    losses.push(await loss.item());
    for (const name of steps.get(t) ?? []) {
      const w = weightOf(loaded.weights, name.replace(/^step\d+\./, ""));
      const got = { shape: w.shape, values: await w.data(), approximate: true };
      comparisons.push(compare(got, expected(file, data, name)));
    }
  }
  step.dispose();
  optimizer.dispose();
  if (before > 0) {
    const got = { shape: [before], values: losses.slice(0, before), approximate: true };
    comparisons.push(compare(got, expected(file, data, "loss_before_each_step")));
  }
  return comparisons;
}

/** A short training run: rates, losses and norms in a JSON file, the optimizer in its description. */
async function runTraining(folder: Folder, file: FileEntry, group: string): Promise<Comparison[]> {
  const want = objectAt(folder.json(file.path), file.path);
  const text = String(want.description);
  const options = /AdamW (\{.*?\})/.exec(text)?.[1],
    clip = /clip_grad_norm_ ([\d.]+)/.exec(text)?.[1];
  const list = (name: string): number[] => {
    if (!Array.isArray(want[name])) {
      throw new SyntaxError(`${file.path} should have a list "${name}"`);
    }
    return want[name];
  };
  if (!options) throw new SyntaxError(`${file.path} should describe its AdamW`);
  const { betas, eps, weight_decay } = JSON.parse(options);
  const loaded = await load(folder, group);
  const all = [...loaded.weights];
  const decays = /decay only on parameters with more than one dimension/.test(text)
    ? all.filter(([, t]) => t.rank > 1)
    : all;
  const optimizer = new AdamW([
    { name: "decay", parameters: new Map(decays), weightDecay: weight_decay },
    { name: "none", parameters: new Map(all.filter((w) => !decays.includes(w))), weightDecay: 0 },
  ], { betas, epsilon: eps, clipNorm: clip === undefined ? undefined : Number(clip) });
  const step = stepOf(loaded, batchOf(folder, group), optimizer);
  const rates = list("lr"), found: number[] = [], norms: number[] = [];
  // One step more than there are rates, for the loss after the last.
  for (const [t, rate] of [...rates, 0].entries()) {
    const hyper = { data: optimizer.hyper(rate, t + 1), shape: optimizer.hyperShape };
    const { loss, gradientNorm } = await step({ hyper });
    found.push(await loss.item());
    norms.push(await gradientNorm.item());
  }
  step.dispose();
  optimizer.dispose();
  const rtol = Number(want.recommended_rtol ?? 1e-3);
  return [["loss_float64", found], ["grad_norm_float64", norms]].map(([key, values]) => {
    const name = key as string, wanted = list(name), shape = [wanted.length];
    const got = { shape, values: (values as number[]).slice(0, wanted.length) };
    return compare(got, { name, shape, values: wanted, atol: 0, rtol });
  });
}

/** The authors' rule which tokens count as image tokens. */
async function runMasks(folder: Folder, file: FileEntry, group: string): Promise<Comparison[]> {
  const types = batchOf(folder, group).given.token_type_ids;
  const vision = tokenTypes(types, "shifted");
  const masks = { vision_token_mask: vision, language_token_mask: sub(1, vision) };
  const data = folder.open(file), comparisons: Comparison[] = [];
  for (const [name, t] of Object.entries(masks)) {
    const got = { shape: t.shape, values: await t.data() };
    comparisons.push(compare(got, expected(file, data, name)));
  }
  return comparisons;
}

/** What to do with a file, by its kind. */
function runner(file: FileEntry): typeof runForward | undefined {
  if ("vision_token_mask" in file.tensors) return runMasks;
  if (file.kind === "io") return runForward;
  if (file.kind === "grads") return runGradients;
  if (file.kind === "adamw") return runAdamW;
  return file.kind === "training" ? runTraining : undefined;
}

/** The case of one file of a model's folder, or none if the file is an input of the others. */
export function modelCases(folder: Folder, file: FileEntry): Case[] {
  const run = runner(file);
  const [, group, name] = /^(.*)\/([^/]*)\.\w+$/.exec(file.path)!;
  if (!run) return [];
  return [{
    group,
    name,
    run: () => run(folder, file, group),
  }];
}
