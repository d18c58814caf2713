/** Models in thimble size and their inputs. */
import { type BatchOptions, packRows, type Segment, WordTokenizer } from "../../src/data/mod.ts";
import {
  type Lvlm,
  type LvlmConfig,
  lvlmConfig,
  type LvlmInputs,
  type LvlmOptions,
  makeLvlm,
  modelParameters,
  upcycle,
} from "../../src/models/mod.ts";
import { Random, setValues, type Tensor, tensor } from "../../src/tensor/mod.ts";
import { read } from "../nn/shared.ts";
import type { ReferenceParameters } from "./reference.ts";

/** 20 words and the special tokens. */
export const TOKENIZER: WordTokenizer = new WordTokenizer("abcdefghijklmnopqrst");

/** Image tokens of the thimble models. */
export const SLOTS = 4;

/** Four layers, of which 1 and 3 may be mixtures. */
export function thimble(options: LvlmOptions = {}): LvlmConfig {
  return lvlmConfig("tiny", {
    ...options,
    vision: { imageSize: 16, width: 8, layers: 1, heads: 2, hidden: 12, ...options.vision },
    language: {
      vocabulary: TOKENIZER.size,
      width: 16,
      layers: 4,
      heads: 2,
      hidden: 12,
      ...options.language,
    },
  });
}

/** A model with its experts. Routers are made decisive, and constants are shaken. */
export async function mixture(config: LvlmConfig, seed = 5): Promise<Lvlm> {
  const model = await upcycle(makeLvlm(new Random(seed, "model"), config), new Random(seed));
  for (const [path, t] of modelParameters(model)) {
    const random = new Random(seed, path);
    if (path.includes("router")) setValues(t, random.normals(t.size, 0, 0.5));
    else if (/norm|bias/.test(path)) setValues(t, random.normals(t.size, 0.8, 0.2));
    else if (/gateUp|down|patches/.test(path)) setValues(t, random.normals(t.size, 0, 0.3));
  }
  return model;
}

/** The parameters in numbers. */
export async function referenceParameters(model: Lvlm): Promise<ReferenceParameters> {
  const list = [...modelParameters(model)];
  const values = await read(...list.map(([, t]) => t));
  return new Map(list.map(([path], i) => [path, Float64Array.from(values[i])]));
}

/** A segment of random words. */
export function segment(random: Random, prompt: number, answer: number): Segment {
  const words = (n: number) => Array.from({ length: n }, () => 5 + random.int(20));
  return { prompt: words(prompt), answer: words(answer) };
}

/** Inputs of a model in numbers: packed rows and random pixels. */
export interface Packed {
  rows: number;
  length: number;
  labels: Int32Array;
  arrays: Record<Exclude<keyof LvlmInputs, "pixels" | "routerJitter" | "routerNoise">, Int32Array>;
  pixels: Float32Array;
}

/** Packs rows of segments; a row's pixels depend on its seed. */
export function packed(
  rows: readonly (readonly Segment[])[],
  length: number,
  seeds: readonly number[] = rows.map((_, r) => r),
): Packed {
  const options: BatchOptions = { tokenizer: TOKENIZER, length, imageTokens: SLOTS };
  const batch = packRows(rows.map((segments, r) => ({ id: `row ${r}`, segments })), options);
  const { tokens, positions, segments, modality, valid, labels } = batch;
  const each = seeds.map((s) => new Random(s, "pixels").normals(3 * 16 * 16));
  return {
    rows: rows.length,
    length,
    labels,
    arrays: { tokens, positions, segments, modality, valid },
    pixels: Float32Array.from(each.flatMap((p) => [...p])),
  };
}

/** Two rows: three short texts, and a long one with padding behind it. */
export function twoRows(): Packed {
  const random = new Random(2, "rows");
  return packed([
    [segment(random, 2, 1), segment(random, 3, 2), segment(random, 1, 2)],
    [segment(random, 4, 3)],
  ], 16);
}

/** The same as tensors. */
export function inputsOf(packed: Packed): LvlmInputs & { labels: Tensor } {
  const shape = [packed.rows, packed.length];
  const pixels = tensor(packed.pixels, { shape: [packed.rows, 3, 16, 16] });
  const rest = Object.fromEntries(
    Object.entries({ ...packed.arrays, labels: packed.labels })
      .map(([name, data]) => [name, tensor(data, { shape })]),
  );
  return { ...rest, pixels } as unknown as LvlmInputs & { labels: Tensor };
}
