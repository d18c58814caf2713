import { assert, assertEquals } from "@std/assert";
import { modelParameters } from "../../src/models/mod.ts";
import { parameters } from "../../src/nn/mod.ts";
import { Random, tensor } from "../../src/tensor/mod.ts";
import {
  pretrainLanguage,
  pretrainVision,
  type StepRecord,
  wordLoss,
  wordTargets,
} from "../../src/train/mod.ts";
import { assertClose, read } from "../nn/shared.ts";
import { DATA, smallest } from "./shared.ts";

Deno.test("wordTargets() is 1 for the words of each patch, however often they stand there", async () => {
  const words = [[[5, 2, 5, 0], [0, 0, 0, 0]], [[1, 0, 0, 0], [3, 4, 5, 6]]];
  const [targets] = await read(wordTargets(tensor(words, { dtype: "i32" }), 7));
  const want = words.flat().flatMap((patch) =>
    Array.from({ length: 7 }, (_, w) => w > 0 && patch.includes(w) ? 1 : 0)
  );
  assertEquals(targets, want);
});

Deno.test("wordLoss() equals a float64 loop over patches and words, for large logits too", async () => {
  const size = 2 * 3 * 5;
  const logits = new Random(1).normals(size, 0, 30), random = new Random(2);
  const targets = Array.from({ length: size }, () => random.bool(0.3) ? 1 : 0);
  const shape = [2, 3, 5];
  const [[loss]] = await read(wordLoss(tensor(logits, { shape }), tensor(targets, { shape })));
  let want = 0;
  logits.forEach((z, i) => {
    const softplus = Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)));
    want += (softplus - z * targets[i]) / 6;
  });
  assertClose([loss], [want], 1e-6);
});

const OPTIONS = { steps: 24, batchSize: 4, learningRate: 1e-2, ocrWeight: 2, seed: 3 };

/** Whether the last losses are lower than the first ones: batches differ by more than steps do. */
function falls(losses: readonly number[]): boolean {
  const sum = (part: readonly number[]) => part.reduce((a, b) => a + b);
  return sum(losses.slice(-6)) < 0.95 * sum(losses.slice(0, 6));
}

Deno.test("pretrainVision() lowers its loss and gives the same encoder when the seed is the same", async () => {
  const { config } = smallest();
  const run = async () => {
    const losses: number[] = [];
    const onStep = ({ loss }: StepRecord) => void losses.push(loss);
    const vision = await pretrainVision(DATA, config.vision, { ...OPTIONS, onStep });
    return { losses, weights: await read(...parameters(vision).values()) };
  };
  const first = await run();
  assertEquals(first.losses.length, 24);
  assert(falls(first.losses), `${first.losses}`);
  assertEquals(await run(), first);
});

Deno.test("pretrainLanguage() changes the language model and nothing else, and lowers its loss", async () => {
  const model = smallest();
  const before = new Map<string, number[]>();
  for (const [path, t] of modelParameters(model)) before.set(path, (await read(t))[0]);
  const losses: number[] = [];
  await pretrainLanguage(DATA, model, { ...OPTIONS, onStep: ({ loss }) => void losses.push(loss) });
  assertEquals(losses.length, 24);
  assert(falls(losses), `${losses}`);
  for (const [path, t] of modelParameters(model)) {
    const [now] = await read(t);
    const changed = now.some((v, i) => v !== before.get(path)![i]);
    assertEquals(changed, path.startsWith("language."), path);
  }
});
