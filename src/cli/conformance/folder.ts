/**
 * A folder of reference numbers: `index.json`, which lists the files with what every tensor in them
 * is and how near to it a result has to come, and the files themselves.
 *
 * @module
 */
import { join } from "node:path";
import { readSafetensors, type Safetensors } from "../../models/safetensors.ts";

/** What the index says about one tensor of a file. */
export interface TensorEntry {
  /** Element type in the file. */
  readonly dtype: string;
  /** Sizes. */
  readonly shape: readonly number[];
  /** `in`, `out`, `grad`, `weight`, … */
  readonly role: string;
  /** Allowed difference, whatever the value. */
  readonly atol?: number;
  /** Allowed difference as a part of the value. */
  readonly rtol?: number;
  /** Whole numbers that have to be equal. */
  readonly exact?: boolean;
  /** The file also holds the result of the float64 run, under the name with `.f64`. */
  readonly f64?: boolean;
}

/** What the index says about one file. */
export interface FileEntry {
  /** Path from the folder. */
  readonly path: string;
  /** What it is: `op`, `moiie`, `weights`, `safetensors`, … */
  readonly kind: string;
  /** In words. */
  readonly description: string;
  /** Parameters of the computation. */
  readonly params: Readonly<Record<string, unknown>>;
  /** The tensors, by name. */
  readonly tensors: Readonly<Record<string, TensorEntry>>;
}

/** An open folder. */
export interface Folder {
  /** Its path. */
  readonly path: string;
  /** The files, in the order of the index. */
  readonly files: readonly FileEntry[];
  /** A safetensors file, opened once and checked against the index. */
  readonly open: (file: FileEntry) => Safetensors;
  /** The whole contents of a file. */
  readonly bytes: (path: string) => Uint8Array<ArrayBuffer>;
  /** A JSON file. */
  readonly json: (path: string) => unknown;
}

/** An object, or an error that says what should have been one. */
export function objectAt(value: unknown, where: string): Record<string, unknown> {
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    throw new SyntaxError(`${where} should be an object, it is ${JSON.stringify(value)}`);
  }
  return value as Record<string, unknown>;
}

function tensorEntry(value: unknown, where: string): TensorEntry {
  const entry = objectAt(value, where);
  const { dtype, shape, role, atol, rtol, exact } = entry;
  const sizes = Array.isArray(shape) && shape.every((d) => Number.isInteger(d) && d >= 0);
  if (typeof dtype !== "string" || typeof role !== "string" || !sizes) {
    throw new SyntaxError(`${where} should have a dtype, a shape and a role`);
  }
  for (const tolerance of [atol, rtol]) {
    if (tolerance !== undefined && !(typeof tolerance === "number" && tolerance >= 0)) {
      throw new SyntaxError(`${where}: tolerance ${tolerance} should be a non-negative number`);
    }
  }
  if ((role === "out" || role === "grad") && exact !== true && atol === undefined) {
    throw new SyntaxError(`${where} should have a tolerance (atol, rtol) or be exact`);
  }
  return entry as unknown as TensorEntry;
}

function fileEntry(value: unknown, where: string): FileEntry {
  const entry = objectAt(value, where);
  const { path, kind, description } = entry;
  if (typeof path !== "string" || typeof kind !== "string") {
    throw new SyntaxError(`${where} should have a path and a kind`);
  }
  const tensors = objectAt(entry.tensors ?? {}, `${where} (${path}): tensors`);
  return {
    path,
    kind,
    description: String(description ?? ""),
    params: objectAt(entry.params ?? {}, `${where} (${path}): params`),
    tensors: Object.fromEntries(
      Object.entries(tensors).map(([name, t]) => [name, tensorEntry(t, `${path}: "${name}"`)]),
    ),
  };
}

function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new SyntaxError(`${where} is not JSON: ${(cause as Error).message}`, { cause });
  }
}

/**
 * Opens a folder and checks its index.
 *
 * @throws {Deno.errors.NotFound} if there is no index, or a file that it lists is missing.
 * @throws {SyntaxError} if the index does not have the format.
 */
export function openFolder(path: string): Folder {
  const read = <T>(file: string, how: (path: string) => T): T => {
    try {
      return how(join(path, file));
    } catch (cause) {
      if (!(cause instanceof Deno.errors.NotFound)) throw cause;
      const missing = file === "index.json"
        ? "is no folder of reference numbers: it has no index.json"
        : `lacks ${file}, which its index lists`;
      throw new Deno.errors.NotFound(`${path} ${missing}`, { cause });
    }
  };
  const json = (file: string) => parseJson(read(file, Deno.readTextFileSync), join(path, file));
  const where = join(path, "index.json");
  const { files } = objectAt(json("index.json"), where);
  if (!Array.isArray(files) || files.length === 0) {
    throw new SyntaxError(`${where} should have a list "files", which is not empty`);
  }
  const entries = files.map((file, i) => fileEntry(file, `${where}: files[${i}]`));
  for (const file of entries) read(file.path, Deno.statSync);

  const opened = new Map<string, Safetensors>();
  const open = (file: FileEntry): Safetensors => {
    let data = opened.get(file.path);
    if (data) return data;
    data = readSafetensors(join(path, file.path));
    for (const [name, { dtype, shape }] of Object.entries(file.tensors)) {
      const found = data.entry(name);
      if (found.dtype !== dtype || found.shape.join() !== shape.join()) {
        throw new RangeError(
          `${file.path}: "${name}" is ${found.dtype}[${found.shape}], ` +
            `but ${dtype}[${shape}] in the index`,
        );
      }
    }
    opened.set(file.path, data);
    return data;
  };
  const bytes = (file: string) => read(file, Deno.readFileSync);
  return { path, files: entries, open, bytes, json };
}
