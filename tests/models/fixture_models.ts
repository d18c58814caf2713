/** The small published models of fixtures/torch, and inputs for them. */
import {
  type Llava,
  type PublishedConfig,
  type PublishedLanguage,
  publishedLanguage,
  publishedLlava,
  type PublishedVision,
  publishedVision,
  readSafetensors,
  type Safetensors,
  VISION_TYPES,
} from "../../src/models/mod.ts";
import { Random, type Tensor, tensor } from "../../src/tensor/mod.ts";
import { ids, pictures } from "./published_shared.ts";

const TORCH = new URL("../../fixtures/torch/", import.meta.url);

/** Path of a model's folder. */
export const folderOf = (name: string): string => new URL(name, TORCH).pathname;

/** A folder's `config.json`. */
export function configOf(folder: string): PublishedConfig {
  return JSON.parse(Deno.readTextFileSync(`${folder}/config.json`));
}

/** Every tensor of a folder's model in its own element type. */
export function tensorsOf(folder: string): Map<string, ReturnType<Safetensors["tensor"]>> {
  const found = new Map<string, ReturnType<Safetensors["tensor"]>>();
  for (const { name } of Deno.readDirSync(folder)) {
    if (!/^model.*\.safetensors$/.test(name)) continue;
    using file = readSafetensors(`${folder}/${name}`);
    for (const name of file.names) found.set(name, file.tensor(name));
  }
  return found;
}

/** A folder's weights as tensors. */
function weightsOf(folder: string): Map<string, Tensor> {
  const found = new Map<string, Tensor>();
  for (const { name } of Deno.readDirSync(folder)) {
    if (!/^model.*\.safetensors$/.test(name)) continue;
    using file = readSafetensors(`${folder}/${name}`);
    for (const name of file.names) {
      found.set(name, tensor(file.float32(name), { shape: file.entry(name).shape }));
    }
  }
  return found;
}

/** A language model of a folder. */
export const languageIn = (folder: string): PublishedLanguage =>
  publishedLanguage(configOf(folder), weightsOf(folder));

/** A LLaVA of a folder. */
export const llavaIn = (folder: string): Llava =>
  publishedLlava(configOf(folder), weightsOf(folder));

/** A model of a folder, of whatever kind. */
export function modelIn(folder: string): PublishedLanguage | Llava | PublishedVision {
  const config = configOf(folder), type = String(config.model_type);
  if (VISION_TYPES.includes(type)) return publishedVision(config, weightsOf(folder));
  return type === "llava" ? llavaIn(folder) : languageIn(folder);
}

/** Two rows of 20 random tokens, the second with padding behind it. */
export function textRows(vocabulary: number): { tokens: Tensor; mask: Tensor; modality: Tensor } {
  const random = new Random(3, "tokens");
  const all = (value: (i: number) => number) =>
    ids(Array.from({ length: 40 }, (_, i) => value(i)), 2, 20);
  return {
    tokens: all(() => 3 + random.int(vocabulary - 3)),
    mask: all((i) => i < 33 ? 1 : 0),
    modality: all((i) => i % 20 > 2 && i % 20 < 9 ? 1 : 0),
  };
}

/** Two rows of the LLaVA fixture: text, the nine tokens of a picture, text. */
export function imageRows(): { tokens: Tensor; mask: Tensor; pixels: Tensor } {
  const { tokens: _, mask } = textRows(96), random = new Random(4, "tokens");
  const token = (i: number) => i % 20 >= 2 && i % 20 < 11 ? 96 : 3 + random.int(90);
  const tokens = ids(Array.from({ length: 40 }, (_, i) => token(i)), 2, 20);
  return { tokens, mask, pixels: pictures(2, 12) };
}
