/**
 * Optimizers: parameters after every step with given gradients, and clipping by norm.
 *
 * @module
 */
import { clipFactor } from "../../train/gradients.ts";
import { AdamW } from "../../train/optimizer.ts";
import { Sgd } from "../../train/sgd.ts";
import { compile, type HostTensor, mul, norm, pack, type Tensor } from "../../tensor/mod.ts";
import type { Case } from "./case.ts";
import { compare, type Comparison, expected } from "./compare.ts";
import { type FileEntry, type Folder, objectAt } from "./folder.ts";
import { type Inputs, leaf, operationCases, type Table } from "./operation.ts";

/** The numbered tensors of a case: `name0`, `name1`, … */
function numbered(c: Inputs, name: string): Tensor[] {
  const found: Tensor[] = [];
  while (c.has(`${name}${found.length}`)) found.push(c.in(`${name}${found.length}`));
  return found;
}

const CLIPPING: Table = [[/./, (c) => {
  const grads = numbered(c, "grad");
  const total = norm(pack(grads)), factor = clipFactor(total, c.number("max_norm"));
  return {
    total_norm: total,
    ...Object.fromEntries(grads.map((g, i) => [`grad${i}`, mul(g, factor)])),
  };
}]];

/** Parameters of one AdamW case. */
interface AdamWParams {
  lr: number;
  betas: readonly [number, number];
  eps: number;
  weight_decay: number;
  lrs: readonly number[] | null;
}

/** Steps of AdamW: w0 in a group with weight decay, w1, w2, … in one without. */
async function runAdamW(folder: Folder, file: FileEntry, name: string): Promise<Comparison[]> {
  const data = folder.open(file);
  const cases = objectAt(file.params.cases, `${file.path}: cases`);
  const { params } = objectAt(cases[name], name);
  const { lr, betas, eps, weight_decay, lrs } = params as AdamWParams;
  const input = (key: string) => leaf(data.tensor(`${name}.in.${key}`), key);
  const weights: Tensor[] = [];
  while (data.has(`${name}.in.w${weights.length}`)) weights.push(input(`w${weights.length}`));
  const [first, ...rest] = weights.map((t, i) => [`w${i}`, t] as const);
  const optimizer = new AdamW([
    { name: "decay", parameters: new Map([first]), weightDecay: weight_decay },
    { name: "no decay", parameters: new Map(rest), weightDecay: 0 },
  ], { betas, epsilon: eps });
  const step = compile((inputs: Record<string, Tensor>) => {
    const grads = weights.map((_, i) => inputs[`grad${i}`]);
    return { effect: optimizer.update(grads, inputs.hyper).effect };
  });
  const comparisons: Comparison[] = [];
  const check = (key: string, shape: readonly number[], values: ArrayLike<number>) => {
    const of = `${name}.out.${key}`;
    if (!file.tensors[of]) return;
    comparisons.push(compare({ shape, values, approximate: true }, expected(file, data, of)));
  };
  for (let t = 1; data.has(`${name}.in.step${t}.grad0`); t++) {
    const inputs: Record<string, HostTensor> = {
      hyper: { data: optimizer.hyper(lrs?.[t - 1] ?? lr, t), shape: optimizer.hyperShape },
    };
    weights.forEach(({ shape }, i) => {
      const values = data.float32(`${name}.in.step${t}.grad${i}`);
      inputs[`grad${i}`] = { data: values, shape };
    });
    await step(inputs);
    for (const [i, w] of weights.entries()) check(`step${t}.w${i}`, w.shape, await w.data());
  }
  for (const [i, { shape, m, v }] of (await optimizer.state()).entries()) {
    check(`exp_avg${i}`, shape, m);
    check(`exp_avg_sq${i}`, shape, v);
  }
  step.dispose();
  optimizer.dispose();
  return comparisons;
}

/** Steps of SGD on one weight. */
async function runSgd(folder: Folder, file: FileEntry, name: string): Promise<Comparison[]> {
  const data = folder.open(file);
  const cases = objectAt(file.params.cases, `${file.path}: cases`);
  const { params } = objectAt(cases[name], name) as {
    params: { lr: number; momentum?: number; nesterov?: boolean; weight_decay?: number };
  };
  const w = leaf(data.tensor(`${name}.in.w`), "w");
  const { lr, momentum, nesterov, weight_decay: weightDecay } = params;
  const optimizer = new Sgd([{ name: "all", parameters: new Map([["w", w]]) }], {
    momentum,
    nesterov,
    weightDecay,
  });
  const step = compile(({ grad, hyper }: { grad: Tensor; hyper: Tensor }) => ({
    effect: optimizer.update([grad], hyper).effect,
  }));
  const comparisons: Comparison[] = [];
  for (let t = 1; data.has(`${name}.in.step${t}.grad`); t++) {
    const grad = { data: data.float32(`${name}.in.step${t}.grad`), shape: w.shape };
    await step({ grad, hyper: { data: optimizer.hyper(lr), shape: optimizer.hyperShape } });
    const got = { shape: w.shape, values: await w.data(), approximate: true };
    comparisons.push(compare(got, expected(file, data, `${name}.out.step${t}.w`)));
  }
  step.dispose();
  optimizer.dispose();
  return comparisons;
}

/** The cases of a file that is about an optimizer, or undefined if it is not. */
export function optimizerCases(
  folder: Folder,
  file: FileEntry,
  name: string,
): Case[] | undefined {
  if (name === "clip_grad_norm") return operationCases(folder, file, CLIPPING);
  if (name !== "adamw" && name !== "sgd") return undefined;
  const group = file.path.replace(/\.safetensors$/, "");
  const names = Object.keys(objectAt(file.params.cases, `${file.path}: cases`));
  return names.map((it) => ({
    group,
    name: it,
    run: () => name === "sgd" ? runSgd(folder, file, it) : runAdamW(folder, file, it),
  }));
}
