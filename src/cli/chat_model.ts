/** Models that `deno task chat` can talk with: published checkpoints, and runs of this library. */
import { emojiVqa, type ScaleName } from "../data/mod.ts";
import {
  loadPublished,
  loadWeights,
  type LvlmConfig,
  makeLvlm,
  type Published,
  readSafetensors,
  upcycle,
} from "../models/mod.ts";
import type { Miniature } from "../study/mod.ts";
import { Random } from "../tensor/mod.ts";

/**
 * Opens a published checkpoint, or a run of `deno task start` with its data set's tokenizer.
 *
 * @param path folder of either, or the run's `checkpoint.safetensors`
 * @throws {Deno.errors.NotFound} if there is neither. @throws {RangeError} if the model is of an
 * unknown type, or its weights do not fit. @throws {SyntaxError} if a file is malformed.
 */
export async function openModel(path: string): Promise<Published | Miniature> {
  for (const file of [path, `${path}/checkpoint.safetensors`]) {
    if (!file.endsWith("checkpoint.safetensors") || !await isFile(file)) continue;
    const miniature = await openRun(file);
    if (miniature) return miniature;
  }
  return await loadPublished(path);
}

async function isFile(path: string): Promise<boolean> {
  return await Deno.stat(path).then((found) => found.isFile, () => false);
}

/** A model of a run; undefined if the file is no checkpoint of one. */
async function openRun(path: string): Promise<Miniature | undefined> {
  using file = readSafetensors(path);
  const { config: text, fingerprint = "{}" } = file.metadata;
  if (text === undefined) return undefined;
  const config: LvlmConfig = JSON.parse(text);
  const scale: ScaleName = JSON.parse(fingerprint).settings?.data ?? "tiny";
  const random = new Random(0);
  const model = await upcycle(makeLvlm(random, config), random);
  loadWeights(file, model);
  return { model, tokenizer: (await emojiVqa({ scale })).tokenizer };
}
