/**
 * Writing published models back, for the Python world: the folder that `loadPublished()` reads and
 * Hugging Face transformers, too.
 *
 * @module
 */
import { dirname, join } from "node:path";
import type { HostData } from "../tensor/mod.ts";
import { bunnyTypes } from "./bunny_layout.ts";
import { type Checkpoint, openCheckpoint } from "./checkpoint_folder.ts";
import type { AnyPublished, Published } from "./load_published.ts";
import { languageOf, type PublishedLvlm } from "./model_tree.ts";
import { partOf, type PublishedConfig } from "./published_config.ts";
import {
  languageTensors,
  llavaTensors,
  type PublishedTensor,
  readPublished,
  visionTensors,
} from "./published_tensors.ts";
import type { PublishedVision } from "./published_vision.ts";
import { type SafetensorsArrays, type SafetensorsDType, toBfloat16 } from "./safetensors_dtypes.ts";
import { type StreamedTensor, streamWeights } from "./safetensors_stream.ts";
import {
  authorsLimits,
  type ConfigChanges,
  configChanges,
  layoutOf,
  parseKeeping,
} from "./written_config.ts";

/** Element types that models are written in. */
export type FloatDType = "F64" | "F32" | "F16" | "BF16";

/** How a model is written. */
export interface WritePublishedOptions {
  /**
   * Folder of the checkpoint that the model was made from. Its `config.json`, the element types of its
   * tensors and its small files (tokenizer, processor, generation, licence) are taken over. Default that
   * of the loaded checkpoint.
   */
  readonly from?: string;
  /**
   * Layout of a whole model as the paper's authors (and Bunny) save it: `own`, as it came, or `llava`, as
   * Hugging Face transformers has LLaVA. Default `own`.
   */
  readonly layout?: "own" | "llava";
  /** A `config.json` where there is no such folder. */
  readonly config?: PublishedConfig;
  /** Element type of all tensors. Default each as in the checkpoint, else `torch_dtype`, else F32. */
  readonly dtype?: FloatDType;
  /** Most bytes of one weight file. Default 5,000,000,000, as Hugging Face. */
  readonly shardSize?: number;
  /** Replace a checkpoint that is there. Default false. */
  readonly overwrite?: boolean;
}

/** What was written. */
export interface WrittenCheckpoint {
  /** The folder. */
  readonly folder: string;
  /** All files in it. */
  readonly files: readonly string[];
  /** Bytes of all tensors. */
  readonly bytes: number;
  /** Names of all tensors. */
  readonly tensors: readonly string[];
  /** Feed-forward tensors of the checkpoint it was made from that the model has no longer. */
  readonly leftOut: readonly string[];
  /** What other programs will not read of it; empty if nothing is known. */
  readonly notes: readonly string[];
}

/** Feed-forward layers of a language model, of which an upcycled or extracted one has others. */
const FEED_FORWARD = /(^|\.)model\.layers\.\d+\.(mlp|block_sparse_moe)\./;

/** Small files that belong to a model whatever its weights. */
const COMPANIONS =
  /^(tokenizer.*|.*\.model|special_tokens_map\.json|added_tokens\.json|vocab\.(json|txt)|merges\.txt|chat_template\..*|generation_config\.json|(pre)?processor_config\.json|licen[cs]e.*|notice.*)$/i;

/**
 * Writes a published model as a checkpoint: `config.json`, `model.safetensors` (or several files with
 * an index), and the small files of the checkpoint it was made from. A dense model is written in its
 * original layout: what was loaded and not changed comes back bit for bit, and so do tensors that the
 * library does not use. MoIIE, and any table with one router for text and one for image tokens, is written
 * in the layout of the paper's authors; experts with one router for all tokens as Mixtral. Whole models that
 * came as Bunny saves them go back so.
 *
 * Only one tensor is in host memory at a time. The folder is written under a temporary name and renamed,
 * so that there is never half a checkpoint. Needs Deno.
 *
 * @param folder must not exist, unless `overwrite` is set and a checkpoint or nothing is in it
 * @param model a loaded checkpoint or what was made of one; or a model by itself, with `from` or
 * `config`
 * @throws {Deno.errors.AlreadyExists} if the folder exists. @throws {Deno.errors.NotFound} if the
 * checkpoint that the model was made from is gone. @throws {RangeError} if no published format has such
 * a model, or an option is out of range. @throws {TypeError} if nothing says what the model's
 * configuration is.
 *
 * @example
 * ```ts ignore
 * import { lab, loadPublished, moiie, upcyclePublished, writePublished } from "@moiie/lab";
 * await lab();
 * const dense = await loadPublished("Phi-3-mini-4k-instruct");
 * await writePublished("Phi-3-mini-moiie", await upcyclePublished(dense, moiie()));
 * ```
 */
export async function writePublished(
  folder: string,
  model: AnyPublished | PublishedLvlm | PublishedVision,
  options: WritePublishedOptions = {},
): Promise<WrittenCheckpoint> {
  const { dtype, shardSize = 5e9, overwrite = false } = options;
  if (dtype !== undefined && !["F64", "F32", "F16", "BF16"].includes(dtype)) {
    throw new RangeError(`writePublished: dtype ${dtype} must be F64, F32, F16 or BF16`);
  }
  const { config: given, path } = model as Partial<Published>;
  const from = options.from ?? (options.config ? undefined : path);
  using source = from === undefined ? undefined : openCheckpoint(from);
  const config = options.config ?? source?.config() ?? ("kind" in model ? given : undefined);
  if (!config) {
    throw new TypeError(
      "writePublished: which config.json? Give a loaded checkpoint, or the option from or config",
    );
  }
  refuseExisting(folder, overwrite);
  const tree = "kind" in model ? model.model : model;
  const ownName = options.config || options.layout === "llava" ? undefined : source?.ownName;
  const { tensors, changes, part } = ownName
    ? inOwnLayout(describe(tree, config, source), tree, config)
    : describe(tree, config, source);
  const name = ownName ?? ((name: string) => name);
  const streamed = streamedTensors(tensors, config, source, dtype)
    .map((t) => ({ ...t, name: name(t.name) }));
  const written = new Set(streamed.map((t) => t.name));
  const isSame = Object.keys(changes.set).length === 0 && changes.remove.length === 0;
  const texts = from === undefined ? undefined : folderOf(from);
  const temporary = `${folder.replace(/[/\\]+$/, "")}.${crypto.randomUUID().slice(0, 8)}.part`;
  await Deno.mkdir(temporary, { recursive: true });
  try {
    const told = source?.json("config.json")?.model_type;
    const isTold = !options.config && (ownName !== undefined || told === config.model_type);
    const text = !isTold || !texts
      ? JSON.stringify(config, null, 2)
      : await Deno.readTextFile(join(texts, "config.json"));
    await Deno.writeTextFile(
      join(temporary, "config.json"),
      isSame && !dtype ? text : changed(text, changes, part, dtype),
    );
    if (texts) await copyCompanions(texts, temporary, isSame);
    const { bytes } = await streamWeights(temporary, streamed, shardSize);
    await moveInto(folder, temporary);
    return {
      folder,
      files: [...Deno.readDirSync(folder)].map(({ name }) => name).sort(),
      bytes,
      tensors: [...written],
      leftOut: source?.names.map(name).filter((name) => !written.has(name)) ?? [],
      notes: "tower" in tree ? [] : limits(tree, ownName !== undefined, isSame),
    };
  } catch (error) {
    await Deno.remove(temporary, { recursive: true }).catch(() => {});
    throw error;
  }
}

/** What other programs will not read of a model. */
function limits(model: PublishedLvlm, ownLayout: boolean, isSame: boolean): string[] {
  if (ownLayout && isSame) return [];
  const scales = "text" in model && model.scales && !ownLayout
    ? ["Hugging Face transformers' LLaVA has no features of several scales"]
    : [];
  return [...authorsLimits(model, ownLayout), ...scales];
}

/** What is written of a model. */
interface Description {
  readonly tensors: readonly PublishedTensor[];
  readonly changes: ConfigChanges;
  /** Part of the configuration that the changes are of, or the whole. */
  readonly part?: string;
}

function describe(
  model: PublishedLvlm | PublishedVision,
  config: PublishedConfig,
  source: Checkpoint | undefined,
): Description {
  if ("tower" in model) return { tensors: visionTensors(model), changes: { set: {}, remove: [] } };
  const part = "text" in model ? "text_config" : undefined;
  const own = part ? partOf(config, part) : config;
  const { head, embedding } = languageOf(model);
  const headName = `${part ? "language_model." : ""}lm_head.weight`;
  if (own.tie_word_embeddings && head.weight !== embedding) {
    throw new RangeError(
      "writePublished: config.json ties the head to the embedding, but the model has both",
    );
  }
  // Some files hold a tied head nevertheless.
  const tied = !source?.has(headName);
  const tensors = "text" in model
    ? llavaTensors(model, config, { tied })
    : languageTensors(model, config, { tied });
  return { tensors, changes: configChanges(model, own), part };
}

/**
 * The same for a checkpoint in Bunny's layout: its fields stand in the whole configuration, and a model
 * whose layers changed is of another type there.
 *
 * @throws {RangeError} if there is no such type.
 */
function inOwnLayout(
  { tensors, changes }: Description,
  model: PublishedLvlm | PublishedVision,
  config: PublishedConfig,
): Description {
  const { set, remove } = changes;
  if ("tower" in model || (Object.keys(set).length === 0 && remove.length === 0)) {
    return { tensors, changes };
  }
  if (set.model_type !== undefined) {
    throw new RangeError(
      `writePublished: Bunny's layout has no ${set.model_type}; set layout: "llava"`,
    );
  }
  const own = "text" in model ? partOf(config, "text_config") : config;
  const type = bunnyTypes(String(own.model_type), layoutOf(model) === "authors");
  return { tensors, changes: { set: { ...set, ...type }, remove } };
}

/**
 * The model's tensors, and those of the checkpoint that the library does not use, as they were: tables of
 * positions, a whole CLIP's text tower.
 */
function streamedTensors(
  tensors: readonly PublishedTensor[],
  config: PublishedConfig,
  source: Checkpoint | undefined,
  dtype: FloatDType | undefined,
): StreamedTensor[] {
  const names = new Set(tensors.map((t) => t.name));
  const own = tensors.map((t): StreamedTensor => {
    const type = dtype ?? dtypeOf(t.name, config, source);
    const read = async () => converted(await readPublished(t), type);
    return { name: t.name, dtype: type, shape: t.shape, read };
  });
  const others = source?.names.filter((name) => !names.has(name) && !FEED_FORWARD.test(name)) ?? [];
  return [
    ...own,
    ...others.map((name): StreamedTensor => {
      const { dtype, shape } = source!.entry(name);
      return { name, dtype, shape, read: () => Promise.resolve(source!.tensor(name).data) };
    }),
  ];
}

/** The element type of a tensor: as it was, or as the configuration says. */
function dtypeOf(
  name: string,
  config: PublishedConfig,
  source: Checkpoint | undefined,
): SafetensorsDType {
  if (source?.has(name)) return source.entry(name).dtype;
  const said = String(config.torch_dtype ?? config.dtype);
  return DTYPES[said] ?? (source ? source.entry(source.names[0]).dtype : "F32");
}

/** Element types by PyTorch's names for them. */
const DTYPES: Readonly<Record<string, FloatDType>> = {
  float64: "F64",
  float32: "F32",
  float16: "F16",
  bfloat16: "BF16",
};

/** Values in the array of an element type: rounded to nearest where they must be. */
function converted(values: HostData, dtype: SafetensorsDType): SafetensorsArrays[SafetensorsDType] {
  switch (dtype) {
    case "F64":
      return Float64Array.from(values);
    case "F16":
      return Float16Array.from(values);
    case "BF16":
      return toBfloat16(values instanceof Float32Array ? values : Float32Array.from(values));
    case "F32":
      return values instanceof Float32Array ? values : Float32Array.from(values);
  }
  throw new RangeError(`writePublished: weights are floats, not ${dtype}; give the option dtype`);
}

/** The text of a configuration with changes in the whole or a part. */
function changed(
  text: string,
  { set, remove }: ConfigChanges,
  part: string | undefined,
  dtype: FloatDType | undefined,
): string {
  const config = parseKeeping(text);
  const own = (part ? config[part] : config) as Record<string, unknown>;
  for (const name of remove) delete own[name];
  Object.assign(own, set);
  if (dtype) {
    const name = Object.keys(DTYPES).find((key) => DTYPES[key] === dtype)!;
    config["dtype" in config ? "dtype" : "torch_dtype"] = name;
  }
  return `${JSON.stringify(config, null, 2)}\n`;
}

/** @throws {Deno.errors.AlreadyExists} if something is there that must not be replaced. */
function refuseExisting(folder: string, overwrite: boolean): void {
  let entries: string[];
  try {
    entries = [...Deno.readDirSync(folder)].map(({ name }) => name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  if (overwrite && (entries.length === 0 || entries.includes("config.json"))) return;
  throw new Deno.errors.AlreadyExists(
    overwrite
      ? `${folder} exists and holds no checkpoint (there is no config.json in it): it is not replaced`
      : `${folder} exists; choose another folder, or set overwrite: true`,
  );
}

/** The folder of a checkpoint that may be named by its weight file. */
const folderOf = (path: string): string => Deno.statSync(path).isFile ? dirname(path) : path;

/** Copies the small files; code of the hub only for a model that is what it was. */
async function copyCompanions(from: string, to: string, isSame: boolean): Promise<void> {
  for (const { name, isDirectory } of [...Deno.readDirSync(from)]) {
    if (isDirectory || !(COMPANIONS.test(name) || (isSame && name.endsWith(".py")))) continue;
    await Deno.copyFile(join(from, name), join(to, name));
  }
}

/** Puts a finished folder into its place, in which another one may be. */
async function moveInto(folder: string, temporary: string): Promise<void> {
  const old = `${temporary}.old`;
  const hadOne = await Deno.rename(folder, old).then(() => true, (error) => {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  });
  await Deno.rename(temporary, folder).catch(async (error) => {
    if (hadOne) await Deno.rename(old, folder);
    throw error;
  });
  if (hadOne) await Deno.remove(old, { recursive: true });
}
