/**
 * Checkpoints as they are published: a folder in the layout of Hugging Face with `config.json` and
 * the weights in `model.safetensors`, or in several files that `model.safetensors.index.json` lists.
 * Opening reads headers only; tensors are read one by one, whole or in pieces.
 *
 * @module
 */
import { basename, dirname, join, relative, resolve } from "node:path";
import { nearest } from "../tensor/nearest.ts";
import { asLlava } from "./bunny_layout.ts";
import {
  type GenerationConfig,
  type PreprocessorFile,
  readGeneration,
  readJsonObject,
  readPreprocessor,
  type TokenizerFiles,
} from "./checkpoint_files.ts";
import type { PublishedConfig } from "./published_config.ts";
import {
  readSafetensors,
  type Safetensors,
  type SafetensorsEntry,
  type SafetensorsTensor,
} from "./safetensors.ts";

/** What a checkpoint says about one tensor. */
export interface CheckpointEntry extends Pick<SafetensorsEntry, "dtype" | "shape"> {
  /** Bytes in the file. */
  readonly bytes: number;
  /** The file that holds it, without its folder. */
  readonly file: string;
}

/** How a checkpoint differs from what a model expects. */
export interface CheckpointDifference {
  /** Expected, but not there. */
  readonly missing: readonly string[];
  /** There, but not expected. */
  readonly extra: readonly string[];
  /** There in another shape. */
  readonly misshapen: readonly {
    /** The tensor. */
    readonly name: string;
    /** Shape in the checkpoint. */
    readonly found: readonly number[];
    /** Shape that the model expects. */
    readonly expected: readonly number[];
  }[];
}

/** An open checkpoint. */
export interface Checkpoint extends Disposable {
  /** The folder, or the one file. */
  readonly path: string;
  /** The names of all tensors: file by file, in the order of their bytes. */
  readonly names: readonly string[];
  /** The weight files, without their folder. */
  readonly files: readonly string[];
  /** Bytes of all tensors together. */
  readonly bytes: number;
  /** Whether there is a tensor of this name. */
  has(name: string): boolean;
  /**
   * A tensor's element type, shape and file, without reading it.
   *
   * @throws {RangeError} if there is no tensor of this name; the nearest is offered.
   */
  entry(name: string): CheckpointEntry;
  /**
   * Reads a tensor in its own element type.
   *
   * @throws {RangeError} if there is no tensor of this name, or the file has become shorter.
   */
  tensor(name: string): SafetensorsTensor;
  /**
   * Reads a tensor of floats as float32.
   *
   * @throws {TypeError} if the tensor holds integers or truth values.
   * @throws {RangeError} if there is no tensor of this name, or the file has become shorter.
   */
  float32(name: string): Float32Array;
  /**
   * Reads a part of a tensor's bytes, little-endian as they stand in the file, while the program goes
   * on.
   *
   * @param name The tensor.
   * @param offset Where to begin, in bytes from the tensor's first.
   * @param into Filled whole.
   * @throws {RangeError} if there is no such tensor or part, or the file has become shorter.
   */
  readInto(name: string, offset: number, into: Uint8Array): Promise<void>;
  /** How the tensors differ from those that a model expects, given by name and shape. */
  compare(expected: ReadonlyMap<string, readonly number[]>): CheckpointDifference;
  /**
   * Any JSON file beside the weights; undefined if there is none.
   *
   * @throws {SyntaxError} if it does not hold an object.
   */
  json(file: string): PublishedConfig | undefined;
  /**
   * The contents of `config.json`.
   *
   * @throws {Deno.errors.NotFound} if there is none. @throws {SyntaxError} if it is no JSON object.
   */
  config(): PublishedConfig;
  /**
   * How to sample: `generation_config.json`, else the same fields of `config.json`, else those of the
   * `text_config` in it, else undefined. The last two have to name the tokens that end an answer.
   *
   * @throws {SyntaxError} if a field has another type than it should.
   */
  generation(): GenerationConfig | undefined;
  /**
   * `tokenizer.json` and `tokenizer_config.json`; undefined if there is no tokenizer.
   *
   * @throws {SyntaxError} if one is no JSON object.
   */
  tokenizerFiles(): TokenizerFiles | undefined;
  /**
   * `preprocessor_config.json`; undefined if there is none.
   *
   * @throws {SyntaxError} if it is no JSON object or does not say whose steps it has.
   */
  preprocessor(): PreprocessorFile | undefined;
  /**
   * The name of a tensor in the files, where it has another one here: in a whole model as the paper's
   * authors (and Bunny) save it.
   */
  ownName?(name: string): string;
  /** Closes the files; what was read stays valid. */
  close(): void;
}

/** Names of the weights in a folder. */
const SINGLE = "model.safetensors";
const INDEX = "model.safetensors.index.json";

/**
 * Opens a checkpoint: a folder with `model.safetensors`, or with an index and the files it lists, or
 * a single `*.safetensors` file, whose folder then holds the small files. Needs Deno.
 *
 * A weight file may be a link only within the folder, or into the `blobs` of a hub's cache. A whole
 * vision-language model as the paper's authors (and Bunny) save it has the names and the configuration
 * of a LLaVA here.
 *
 * @throws {Deno.errors.NotFound} if there is no such folder or file, or no weights in it.
 * @throws {SyntaxError} if the index or a header is malformed.
 * @throws {RangeError} if the index names a file outside the folder, or it and the files do not fit.
 *
 * @example
 * ```ts ignore
 * import { openCheckpoint } from "@moiie/lab/models";
 * using checkpoint = openCheckpoint("Phi-3-mini-4k-instruct");
 * console.log(checkpoint.names.length, checkpoint.entry("model.embed_tokens.weight"));
 * ```
 */
export function openCheckpoint(path: string): Checkpoint {
  const isFile = statOf(path)?.isFile ?? false;
  const folder = isFile ? dirname(path) : path;
  const files = new Map<string, Safetensors>();
  const close = () => {
    for (const file of files.values()) file.close();
  };
  try {
    const owners = isFile
      ? openSingle(folder, basename(path), files)
      : statOf(join(folder, INDEX))
      ? openIndex(folder, files)
      : openSingle(folder, SINGLE, files);
    return asLlava(checkpointOf(path, folder, files, owners, close));
  } catch (error) {
    close();
    throw error;
  }
}

/** @throws for anything but that there is no such file. */
function statOf(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** The file that holds a tensor, by the tensor's name. */
type Owners = ReadonlyMap<string, string>;

function openSingle(folder: string, name: string, files: Map<string, Safetensors>): Owners {
  if (!statOf(join(folder, name))) {
    throw new Deno.errors.NotFound(
      `${folder} holds no checkpoint: it has neither ${name} nor ${INDEX}`,
    );
  }
  const file = readSafetensors(join(folder, name));
  files.set(name, file);
  return new Map(file.names.map((tensor) => [tensor, name]));
}

function openIndex(folder: string, files: Map<string, Safetensors>): Owners {
  const source = join(folder, INDEX);
  const { weight_map: map } = readJsonObject(source)!;
  if (map === null || typeof map !== "object" || Array.isArray(map)) {
    throw new SyntaxError(`${source} should have an object "weight_map"`);
  }
  const listed = Object.entries(map as Record<string, unknown>);
  if (listed.length === 0) throw new SyntaxError(`${source}: its weight_map is empty`);
  const owners = new Map<string, string>();
  for (const [tensor, name] of listed) {
    if (typeof name !== "string") {
      throw new SyntaxError(`${source}: the file of ${quoted(tensor)} is no text`);
    }
    if (!files.has(name)) files.set(name, readSafetensors(weightFile(folder, name, source)));
    owners.set(tensor, name);
  }
  checkIndex(owners, files, source);
  return owners;
}

/** A name as it goes into an error message, cut where it is absurdly long. */
function quoted(name: string): string {
  return JSON.stringify(name.length > 100 ? `${name.slice(0, 100)}…` : name);
}

/** Bytes that a file's name can have on all usual systems. */
const LONGEST_NAME = 255;

/** Whether an index may name this file: it lies beside the index. */
export function isWeightFileName(name: unknown): name is string {
  return typeof name === "string" && /^[^/\\:\0]+\.safetensors$/.test(name) &&
    name.isWellFormed() && new TextEncoder().encode(name).length <= LONGEST_NAME;
}

/** The path of a file of the index. @throws if it leaves the folder, or there is none. */
function weightFile(folder: string, name: string, source: string): string {
  if (!isWeightFileName(name)) {
    throw new RangeError(
      `${source} names the file ${quoted(name)}; the files of an index lie beside it and are ` +
        `called *.safetensors`,
    );
  }
  const path = join(folder, name);
  if (!statOf(path)) {
    throw new Deno.errors.NotFound(`${folder} lacks ${quoted(name)}, which ${INDEX} lists`);
  }
  const real = Deno.realPathSync(path), home = Deno.realPathSync(folder);
  // A hub's cache has folders `snapshots/REVISION` of links into `blobs`.
  const snapshots = dirname(home);
  const blobs = basename(snapshots) === "snapshots" ? resolve(snapshots, "../blobs") : home;
  if (!isWithin(home, real) && !isWithin(blobs, real)) {
    throw new RangeError(
      `${path} is a link that leaves the checkpoint's folder, to ${real}; copy the file`,
    );
  }
  return path;
}

function isWithin(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way !== "" && !/^\.\.([/\\]|$)/.test(way) && resolve(folder, way) === resolve(path);
}

/** The index and the files must name the same tensors. */
function checkIndex(owners: Owners, files: ReadonlyMap<string, Safetensors>, source: string): void {
  for (const [tensor, name] of owners) {
    if (!files.get(name)!.has(tensor)) {
      throw new RangeError(
        `${source} lists ${quoted(tensor)} in ${name}, which does not hold it; are all files of ` +
          `one download?`,
      );
    }
  }
  for (const [name, file] of files) {
    for (const tensor of file.names) {
      if (owners.get(tensor) === name) continue;
      throw new RangeError(
        `${source}: ${name} holds ${quoted(tensor)}, which the index ` +
          (owners.has(tensor) ? `lists in ${owners.get(tensor)}` : "does not list"),
      );
    }
  }
}

function checkpointOf(
  path: string,
  folder: string,
  files: ReadonlyMap<string, Safetensors>,
  owners: Owners,
  close: () => void,
): Checkpoint {
  const names = [...files.values()].flatMap((file) => file.names);
  const fileOf = (name: string): Safetensors => {
    const file = owners.get(name);
    if (file !== undefined) return files.get(file)!;
    const guess = nearest(name, names);
    throw new RangeError(
      `${path}: no tensor ${quoted(name)} among ${names.length}` +
        (guess === undefined ? "" : `; did you mean "${guess}"?`),
    );
  };
  const entry = (name: string): CheckpointEntry => {
    const { dtype, shape, begin, end } = fileOf(name).entry(name);
    return { dtype, shape, bytes: end - begin, file: owners.get(name)! };
  };
  const json = (file: string) => readJsonObject(join(folder, file));
  return {
    path,
    names,
    files: [...files.keys()],
    bytes: names.reduce((sum, name) => sum + entry(name).bytes, 0),
    has: (name) => owners.has(name),
    entry,
    tensor: (name) => fileOf(name).tensor(name),
    float32: (name) => fileOf(name).float32(name),
    readInto: async (name, offset, into) => await fileOf(name).readInto(name, offset, into),
    compare: (expected) => ({
      missing: [...expected.keys()].filter((name) => !owners.has(name)),
      extra: names.filter((name) => !expected.has(name)),
      misshapen: [...expected].flatMap(([name, shape]) => {
        const found = owners.has(name) ? entry(name).shape : shape;
        return found.join() === shape.join() ? [] : [{ name, found, expected: shape }];
      }),
    }),
    json,
    config: () => {
      const config = json("config.json");
      if (config) return config;
      throw new Deno.errors.NotFound(`${folder} has no config.json: which model is it?`);
    },
    generation: () => {
      const own = json("generation_config.json");
      if (own) return readGeneration(own, join(folder, "generation_config.json"));
      const config = json("config.json"), text = config?.text_config as PublishedConfig | undefined;
      const named = [config, text].find((fields) => (fields?.eos_token_id ?? null) !== null);
      return named && readGeneration(named, join(folder, "config.json"));
    },
    tokenizerFiles: () => {
      const tokenizer = json("tokenizer.json");
      return tokenizer && { tokenizer, config: json("tokenizer_config.json") ?? {} };
    },
    preprocessor: () => {
      const fields = json("preprocessor_config.json");
      return fields && readPreprocessor(fields, join(folder, "preprocessor_config.json"));
    },
    close,
    [Symbol.dispose]: close,
  };
}
