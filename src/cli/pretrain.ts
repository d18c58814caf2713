/**
 * `deno task pretrain`: trains the backbones of a preset and writes them, with how they were made, to
 * fixtures/backbones. Takes about half an hour for `tiny` on two CPU cores without a GPU.
 */
import { parseArgs } from "node:util";
import { emojiVqa } from "../data/mod.ts";
import {
  lvlmConfig,
  makeLvlm,
  modelParameters,
  type SafetensorsTensor,
  writeSafetensors,
} from "../models/mod.ts";
import { Progress } from "../notebook/mod.ts";
import { lab, Random } from "../tensor/mod.ts";
import { pretrainLanguage, type PretrainOptions, pretrainVision } from "../train/mod.ts";
import { ensureGpu } from "./setup.ts";

const { values } = parseArgs({
  args: Deno.args,
  options: {
    preset: { type: "string", default: "tiny" },
    seed: { type: "string", default: "0" },
    "vision-steps": { type: "string", default: "5000" },
    "language-steps": { type: "string", default: "1200" },
    out: { type: "string" },
  },
});

const count = (name: "seed" | "vision-steps" | "language-steps"): number => {
  const n = Number(values[name]);
  if (!Number.isSafeInteger(n) || n < 0) {
    throw new RangeError(`--${name} ${values[name]} must be a whole number of at least 0`);
  }
  return n;
};

const preset = values.preset!, seed = count("seed");
const out = values.out ?? `fixtures/backbones/${preset}.safetensors`;
const config = lvlmConfig(preset);
await ensureGpu((line) => console.log(line));
const session = await lab({ seed });
console.log(String(session));
const data = await emojiVqa({ scale: preset === "tiny" ? "tiny" : "small" });
const model = makeLvlm(new Random(seed, "pretrain"), config);

const settings = {
  vision: { steps: count("vision-steps"), batchSize: 64, learningRate: 2e-3, ocrWeight: 4 },
  language: { steps: count("language-steps"), batchSize: 32, learningRate: 2e-3, ocrWeight: 2 },
};
const last: Record<string, number> = {};
const seconds: Record<string, number> = {};

/** Runs one part with a progress line; remembers the mean loss of the last steps. */
async function part<T>(
  name: "vision" | "language",
  run: (options: PretrainOptions) => Promise<T>,
): Promise<T> {
  const progress = new Progress({ label: `pretraining ${name}`, total: settings[name].steps });
  const losses: number[] = [];
  const started = performance.now();
  const result = await run({
    ...settings[name],
    seed,
    onStep: ({ step, loss }) => {
      losses.push(loss);
      progress.update(step + 1, { loss });
    },
  });
  await progress.done();
  const tail = losses.slice(-100);
  last[name] = tail.reduce((a, b) => a + b, 0) / Math.max(1, tail.length);
  seconds[name] = (performance.now() - started) / 1000;
  return result;
}

await part("language", (o) => pretrainLanguage(data, model, o));
model.vision = await part("vision", (o) => pretrainVision(data, config.vision, o));

const tensors: Record<string, SafetensorsTensor> = {};
for (const [path, t] of modelParameters(model)) {
  if (path.startsWith("connector.")) continue;
  const values = await t.data() as Float32Array;
  tensors[`model.${path}`] = { dtype: "F32", shape: [...t.shape], data: values };
}
await Deno.mkdir(out.replace(/[^/\\]*$/, "") || ".", { recursive: true });
await writeSafetensors(out, tensors, {
  made_by: "deno task pretrain",
  preset,
  seed: String(seed),
  settings: JSON.stringify(settings),
  last_losses: JSON.stringify(last),
  seconds: JSON.stringify(seconds),
  device: session.gpu.adapter.name,
});
console.log(`wrote ${out}`, last);
session.dispose();
