/**
 * Cases on published language models: forward pass, greedy generation, gradients, steps of AdamW, a
 * short training run. A folder holds `config.json`, weights in one or several files, and files of
 * reference numbers. Hidden states, attention probabilities and router logits are left out: the
 * library's model does not give them away.
 *
 * @module
 */
import { applyLanguage, embed, type LvlmOutputs, tokenTypes } from "../../models/mod.ts";
import { routerLoads } from "../../moe/mod.ts";
import type { Safetensors } from "../../models/safetensors.ts";
import {
  add,
  compile,
  crossEntropy,
  equal,
  full,
  gradients,
  type HostTensor,
  iota,
  mul,
  narrow,
  reshape,
  sub,
  type Tensor,
  tensor,
  where,
  zeros,
} from "../../tensor/mod.ts";
import { topological } from "../../tensor/grad.ts";
import { AdamW } from "../../train/optimizer.ts";
import type { Case } from "./case.ts";
import { compare, type Comparison, expected, type Numbers } from "./compare.ts";
import { type FileEntry, type Folder, objectAt } from "./folder.ts";
import { type PublishedConfig, type PublishedModel, publishedModel } from "./language_model.ts";
import { leaf } from "./operation.ts";

/** A model of a folder, with the leaves it is made of. */
interface Loaded {
  readonly config: PublishedConfig;
  readonly weights: ReadonlyMap<string, Tensor>;
  readonly model: PublishedModel;
}

/** Reads the model beside a file. */
function load(folder: Folder, group: string): Loaded {
  const config = objectAt(folder.json(`${group}/config.json`), group) as unknown as PublishedConfig;
  const weights = new Map<string, Tensor>();
  for (const file of folder.files) {
    if (file.kind !== "weights" || !file.path.startsWith(`${group}/`)) continue;
    const data = folder.open(file);
    for (const [name, { shape }] of Object.entries(file.tensors)) {
      weights.set(name, tensor(data.float32(name), { shape, name }));
    }
  }
  return { config, weights, model: publishedModel(config, weights) };
}

/** What a model is given, as tensors `[B, T]`; embeddings in place of tokens where there are any. */
interface Given {
  readonly tokens?: Tensor;
  readonly embeddings?: Tensor;
  readonly positions?: Tensor;
  readonly mask?: Tensor;
  readonly types?: Tensor;
}

/** The inputs of a file. */
function given(data: Safetensors): Given & { labels: Tensor } {
  const find = (name: string) =>
    data.has(`in.${name}`) ? leaf(data.tensor(`in.${name}`), name) : undefined;
  return {
    tokens: find("input_ids"),
    embeddings: find("inputs_embeds"),
    positions: find("position_ids"),
    mask: find("attention_mask"),
    types: find("token_type_ids"),
    labels: find("labels")!,
  };
}

/** Logits and routing of the library's model. */
function forward({ language, config }: PublishedModel, it: Given): LvlmOutputs {
  const x = it.embeddings ?? embed(language, it.tokens!, undefined);
  const [batch, length] = x.shape, shape = [batch, length];
  const valid = it.mask ?? full(shape, 1, "i32");
  return applyLanguage(language, config, x, {
    tokens: it.tokens ?? zeros(shape, "i32"),
    positions: it.positions ?? iota(shape, 1),
    segments: where(equal(valid, 0), -1, zeros(shape, "i32")),
    modality: it.types ?? zeros(shape, "i32"),
    valid,
  });
}

/** The losses by their names in the files. */
function losses(model: PublishedModel, it: Given & { labels: Tensor }): Map<string, Tensor> {
  const { logits, routings } = forward(model, it);
  const [batch, length] = it.labels.shape, classes = logits.shape[1], rows = batch * (length - 1);
  const all = reshape(logits, [batch, length, classes]);
  const loss = crossEntropy(
    reshape(narrow(all, 1, 0, length - 1), [rows, classes]),
    reshape(narrow(it.labels, 1, 1, length - 1), [rows]),
  );
  const found = new Map([["logits", all], ["loss", loss]]);
  const names = model.coefficients.length > 1 ? ["aux_loss_lan", "aux_loss_vis"] : ["aux_loss"];
  let total = loss;
  routerLoads(routings).forEach((load, r) => {
    found.set(names[r], load.loss);
    total = add(total, mul(load.loss, model.coefficients[r]));
  });
  // The published mixtures count the balancing losses into their `loss`.
  return found.set("loss", total).set("total_loss", total);
}

/** The rows of `[B, T, ...]` where the mask is not 0. */
function rowsOf(values: Numbers, mask: ArrayLike<number>): number[] {
  const width = values.length / mask.length;
  return Array.from(mask).flatMap((m, row) =>
    m === 0 ? [] : Array.from({ length: width }, (_, i) => Number(values[row * width + i]))
  );
}

/** A forward pass: logits where there is no padding, losses, and what greedy generation writes. */
async function runForward(folder: Folder, file: FileEntry, group: string): Promise<Comparison[]> {
  const { model } = load(folder, group), data = folder.open(file);
  const comparisons: Comparison[] = [];
  const found = losses(model, given(data));
  const mask = data.has("in.attention_mask")
    ? data.tensor("in.attention_mask").data as Int32Array
    : undefined;
  for (const [name, t] of found) {
    if (!file.tensors[`out.${name}`]) continue;
    const want = expected(file, data, `out.${name}`), values = await t.data();
    const filter = (x: Numbers) => mask && name === "logits" ? rowsOf(x, mask) : x;
    const got = { shape: t.shape, values, approximate: true };
    if (t.shape.join() !== want.shape.join()) comparisons.push(compare(got, want));
    else {
      const wanted = filter(want.values), shape = [wanted.length];
      const part = { shape, values: filter(values), approximate: true };
      comparisons.push(compare(part, { ...want, values: wanted, shape }));
    }
  }
  if (data.has("in.generate.input_ids")) comparisons.push(await generate(model, file, data));
  return comparisons;
}

/** Greedy generation, with the tokens to come as padding. */
async function generate(
  model: PublishedModel,
  file: FileEntry,
  data: Safetensors,
): Promise<Comparison> {
  const want = expected(file, data, "out.generate.new_tokens");
  const start = Array.from(data.tensor("in.generate.input_ids").data as Int32Array);
  const length = start.length + want.values.length, shape = [1, length];
  const logitsOf = compile(({ tokens, mask }: { tokens: Tensor; mask: Tensor }) => ({
    logits: forward(model, { tokens, mask }).logits,
  }));
  const tokens = [...start];
  while (tokens.length < length) {
    const padded = (f: (i: number) => number): HostTensor => ({
      data: Int32Array.from({ length }, (_, i) => f(i)),
      shape,
    });
    const { logits } = await logitsOf({
      tokens: padded((i) => tokens[i] ?? 0),
      mask: padded((i) => i < tokens.length ? 1 : 0),
    });
    const classes = logits.shape[1], values = await logits.data();
    const last = values.subarray((tokens.length - 1) * classes, tokens.length * classes);
    tokens.push(last.indexOf(Math.max(...last)));
  }
  logitsOf.dispose();
  return compare({ shape: want.shape, values: tokens.slice(start.length) }, want);
}

/** The forward pass that gradients and training steps are about: the folder's `io.safetensors`. */
function batchOf(folder: Folder, group: string): Safetensors {
  const io = folder.files.find((f) => f.path === `${group}/io.safetensors`);
  if (!io) throw new RangeError(`${group} has no io.safetensors in the index`);
  return folder.open(io);
}

/** A weight by name, or an error. */
function weightOf(weights: ReadonlyMap<string, Tensor>, name: string): Tensor {
  const t = weights.get(name);
  if (!t) throw new RangeError(`the model has no weight "${name}"`);
  return t;
}

async function runGradients(folder: Folder, file: FileEntry, group: string): Promise<Comparison[]> {
  const { model, weights } = load(folder, group), data = folder.open(file);
  const total = losses(model, given(batchOf(folder, group))).get("total_loss")!;
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
function stepOf({ model, weights }: Loaded, it: Given & { labels: Tensor }, optimizer: AdamW) {
  return compile(({ hyper }: { hyper: Tensor }) => {
    const loss = losses(model, it).get("total_loss")!;
    const named = [...optimizer.parameters.keys()].map((name) => weights.get(name)!);
    const { effect, gradientNorm } = optimizer.update(gradients(loss, named), hyper);
    return { loss, gradientNorm, effect };
  });
}

async function runAdamW(folder: Folder, file: FileEntry, group: string): Promise<Comparison[]> {
  const loaded = load(folder, group), data = folder.open(file);
  const { lr, betas, eps, weight_decay } = file.params as {
    lr: number;
    betas: [number, number];
    eps: number;
    weight_decay: number;
  };
  const batch = given(batchOf(folder, group));
  // Torch leaves parameters alone that the loss does not depend on, weight decay included.
  const used = new Set(topological([losses(loaded.model, batch).get("total_loss")!]));
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
  const comparisons: Comparison[] = [];
  for (let t = 1; t <= Math.max(0, ...steps.keys()); t++) {
    await step({ hyper: { data: optimizer.hyper(lr, t), shape: optimizer.hyperShape } });
    for (const name of steps.get(t) ?? []) {
      const w = weightOf(loaded.weights, name.replace(/^step\d+\./, ""));
      const got = { shape: w.shape, values: await w.data(), approximate: true };
      comparisons.push(compare(got, expected(file, data, name)));
    }
  }
  step.dispose();
  optimizer.dispose();
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
  const loaded = load(folder, group);
  const all = [...loaded.weights];
  const decays = /decay only on parameters with more than one dimension/.test(text)
    ? all.filter(([, t]) => t.rank > 1)
    : all;
  const optimizer = new AdamW([
    { name: "decay", parameters: new Map(decays), weightDecay: weight_decay },
    { name: "none", parameters: new Map(all.filter((w) => !decays.includes(w))), weightDecay: 0 },
  ], { betas, epsilon: eps, clipNorm: clip === undefined ? undefined : Number(clip) });
  const step = stepOf(loaded, given(batchOf(folder, group)), optimizer);
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
  const types = given(batchOf(folder, group)).types!;
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
export function languageCases(folder: Folder, file: FileEntry): Case[] {
  const run = runner(file);
  const [, group, name] = /^(.*)\/([^/]*)\.\w+$/.exec(file.path)!;
  if (!run) return [];
  return [{
    group,
    name,
    run: () => run(folder, file, group),
  }];
}
