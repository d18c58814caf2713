/** Models whose answers are known beforehand, or are as good as random. */
import type { EmojiVqa } from "../../src/data/mod.ts";
import {
  type Lvlm,
  type LvlmConfig,
  lvlmConfig,
  makeLvlm,
  modelParameters,
  upcycle,
} from "../../src/models/mod.ts";
import { moiie, type PoolTable } from "../../src/moe/mod.ts";
import { Random, setValues, type Tensor } from "../../src/tensor/mod.ts";

/** What the model of {@linkcode knownModel} says when a question has a word; the first rule wins. */
const RULES = [["color", "white"], ["many", "one"], ["where", "top-left"], ["kind", "bird"]];

/** Its answer to a question. */
export function knownAnswer(question: string): string {
  const words = question.split(" ");
  return RULES.find(([word]) => words.includes(word))?.[1] ?? "yes";
}

function fill(t: Tensor, value: (row: number, column: number) => number): void {
  const columns = t.shape.at(-1)!;
  setValues(
    t,
    Float32Array.from({ length: t.size }, (_, i) => {
      return value(Math.floor(i / columns), i % columns);
    }),
  );
}

/** Sizes of all models here, so that one set of kernels serves; 8 features more than words. */
export function configOf(data: EmojiVqa, ffn: PoolTable = moiie()): LvlmConfig {
  return lvlmConfig("tiny", {
    ffn,
    placement: "full",
    vision: { width: 8, layers: 1, heads: 2, hidden: 8 },
    language: { width: data.tokenizer.size + 8, layers: 2, heads: 2, hidden: 8 },
  });
}

/**
 * A MoIIE that answers by the rules. Its first features are one-hot words; the last ones count the
 * words of the rules in the question, gathered by even attention. Images and feed-forward layers give
 * zero. With `endless` it never ends its answers.
 */
export async function knownModel(data: EmojiVqa, endless = false): Promise<Lvlm> {
  const config = configOf(data);
  const { tokenizer } = data, words = tokenizer.size, { width } = config.language;
  const model = await upcycle(makeLvlm(new Random(1), config), new Random(1));
  const id = (word: string) => tokenizer.encode(word)[0];
  const rules = RULES.map(([word, answer]) => ({ word: id(word), answer: id(answer) }));
  const yes = id("yes"), answers = [yes, ...rules.map((r) => r.answer)];
  fill(model.connector.down.weight, () => 0);
  fill(model.language.embedding, (row, column) => row === column ? 1 : 0);
  for (const [i, { attention, ffn }] of model.language.blocks.entries()) {
    fill(attention.qkv.weight, (row, column) => row === 2 * width + column ? 1 : 0);
    fill(
      attention.output.weight,
      (row, column) => i === 0 && rules[row - words]?.word === column ? 1 : 0,
    );
    fill(ffn.down, () => 0);
  }
  fill(model.language.head.weight, (row, column) => {
    if (row === tokenizer.eos) return !endless && answers.includes(column) ? 1e6 : 0;
    if (row === yes && [id("?"), yes].includes(column)) return 1e-3;
    return rules[column - words]?.answer === row ? 10 ** (words + RULES.length - column) : 0;
  });
  return model;
}

/** A MoIIE with decisive routers and no idea. */
export async function randomModel(data: EmojiVqa, seed = 1): Promise<Lvlm> {
  const model = await upcycle(makeLvlm(new Random(seed), configOf(data)), new Random(seed));
  for (const [path, t] of modelParameters(model)) {
    if (path.includes("router")) setValues(t, new Random(seed, path).normals(t.size, 0, 0.5));
    if (path.includes("head")) setValues(t, new Random(seed, path).normals(t.size));
  }
  return model;
}
