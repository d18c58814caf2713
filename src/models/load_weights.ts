/**
 * Weights from a checkpoint to the device, in pieces: however large the files, little host memory is
 * held. What is missing or misshapen, and what the device cannot hold, is said before any is read.
 */
import {
  currentSession,
  placeholder,
  type Shape,
  sizeOf,
  takeMemory,
  type Tensor,
  writePart,
} from "../tensor/mod.ts";
import type { Checkpoint } from "./checkpoint_folder.ts";
import { type JoinedTensor, joinedTensors } from "./joined_weights.ts";
import { PIECE, WeightConverter, type WeightDType } from "./weight_conversion.ts";

export type { WeightDType } from "./weight_conversion.ts";

/** Options of {@linkcode loadTensors}. */
export interface WeightOptions {
  /**
   * Element type on the device. With `f16` weights take half the memory, and what is computed of them
   * is f16 too; their training needs f32. Default `f32`.
   */
  readonly dtype?: WeightDType;
  /**
   * Join what is published apart (queries, keys and values; gate and up; experts) while it is read, so
   * that a layer holds its weights once. Without it every tensor has its published name, as gradients
   * by published names need. Default true.
   */
  readonly join?: boolean;
  /** Told after every piece how many of the bytes are read. */
  readonly progress?: (done: number, total: number) => void;
}

/** Bytes written to the device in one go; two goes may be under way. */
const UNDER_WAY = 32 * 2 ** 20;

/** Names in an error message. */
function some(names: readonly string[]): string {
  const shown = names.slice(0, 5).map((name) => JSON.stringify(name.slice(0, 100))).join(", ");
  return names.length > 5 ? `${shown} and ${names.length - 5} more` : shown;
}

/**
 * Refuses a checkpoint that does not hold what a model needs.
 *
 * @returns the tensors that are there but not needed
 * @throws {RangeError} if tensors are missing or misshapen, naming them. @throws {TypeError} if one
 * holds no floats.
 */
export function checkTensors(
  checkpoint: Checkpoint,
  expected: ReadonlyMap<string, Shape>,
): readonly string[] {
  const { missing, misshapen, extra } = checkpoint.compare(expected);
  if (missing.length > 0) {
    throw new RangeError(
      `${checkpoint.path} lacks ${missing.length} of the ${expected.size} tensors that its ` +
        `config.json asks for: ${some(missing)}` +
        (extra.length > 0 ? `; it holds ${extra.length} others: ${some(extra)}` : ""),
    );
  }
  if (misshapen.length > 0) {
    const [{ name, found, expected }] = misshapen;
    throw new RangeError(
      `${checkpoint.path}: ${misshapen.length} tensors do not have the shape that config.json ` +
        `asks for: ${JSON.stringify(name)} is [${found}], not [${expected}]`,
    );
  }
  for (const name of expected.keys()) {
    const { dtype } = checkpoint.entry(name);
    if (!/^B?F\d+$/.test(dtype)) {
      throw new TypeError(`${checkpoint.path}: ${JSON.stringify(name)} is ${dtype}, not floats`);
    }
  }
  return extra;
}

/** Rows of a tensor, along its first axis. */
export interface RowRange {
  /** First row. */
  readonly from: number;
  /** How many. */
  readonly count: number;
}

/** Elements of a published tensor. */
interface Part {
  readonly name: string;
  readonly from: number;
  readonly count: number;
}

/** Reads tensors of a checkpoint onto the device, any number of times with the same host memory. */
export class TensorLoader {
  readonly #checkpoint: Checkpoint;
  readonly #options: WeightOptions;
  readonly #converter: WeightConverter;
  #total = 0;
  #done = 0;
  #underWay = 0;
  #copied: Promise<void> = Promise.resolve();

  /** Reads from a checkpoint, which stays the caller's to close. */
  constructor(checkpoint: Checkpoint, options: WeightOptions = {}) {
    this.#checkpoint = checkpoint;
    this.#options = options;
    this.#converter = new WeightConverter(options.dtype ?? "f32");
  }

  /** Reads whole tensors; see {@linkcode loadTensors}. */
  async load(names: Iterable<string>): Promise<Map<string, Tensor>> {
    const shapes = new Map([...names].map((name) => [name, this.#checkpoint.entry(name).shape]));
    const wanted: JoinedTensor[] = this.#options.join ?? true
      ? joinedTensors(shapes)
      : [...shapes].map(([name, shape]) => ({ name, shape, parts: [name] }));
    const made = await this.#read(wanted.map(({ name, shape, parts }) => ({
      name,
      shape,
      parts: parts.map((part) => ({ name: part, from: 0, count: sizeOf(shapes.get(part)!) })),
    })));
    return new Map(made.map((t) => [t.name!, t]));
  }

  /**
   * Reads rows of one tensor, in the order of the ranges.
   *
   * @returns `[all rows, …]`
   * @throws {RangeError} if there are no such rows, and as {@linkcode loadTensors}.
   */
  async rows(name: string, ranges: readonly RowRange[]): Promise<Tensor> {
    const [most, ...rest] = this.#checkpoint.entry(name).shape, size = sizeOf(rest);
    const wrong = ranges.find(({ from, count }) =>
      !(from >= 0 && count >= 0 && from + count <= most)
    );
    if (wrong) {
      const { from, count } = wrong;
      throw new RangeError(`${name} has ${most} rows, not ${count} from row ${from} on`);
    }
    const parts = ranges.map(({ from, count }) => ({
      name,
      from: from * size,
      count: count * size,
    }));
    const rows = ranges.reduce((sum, { count }) => sum + count, 0);
    return (await this.#read([{ name, shape: [rows, ...rest], parts }]))[0];
  }

  async #read(
    wanted: readonly { name: string; shape: Shape; parts: readonly Part[] }[],
  ): Promise<Tensor[]> {
    const made = wanted.map(({ name, shape }) => {
      const t = placeholder(shape, this.#options.dtype ?? "f32", name);
      t.owner = "parameters";
      return t;
    });
    await takeMemory(made);
    this.#done = 0;
    this.#total = wanted.flatMap(({ parts }) => parts)
      .reduce((sum, { name, count }) => sum + count * this.#widthOf(name), 0);
    try {
      for (const [i, { parts }] of wanted.entries()) await this.#fill(made[i], parts);
      await this.#pace();
      await this.#copied;
    } catch (error) {
      for (const t of made) t.dispose();
      throw error;
    }
    return made;
  }

  /** Bytes of an element in the file. */
  #widthOf(name: string): number {
    const { bytes, shape } = this.#checkpoint.entry(name);
    return bytes / Math.max(1, sizeOf(shape));
  }

  /** Copies parts of published tensors, one after the other, into one that has memory. */
  async #fill(t: Tensor, parts: readonly Part[]): Promise<void> {
    const { values } = this.#converter;
    let sent = 0, filled = 0;
    const send = async () => {
      writePart(t, sent, values.subarray(0, filled));
      sent += filled;
      this.#underWay += filled * values.BYTES_PER_ELEMENT;
      filled = 0;
      if (this.#underWay >= UNDER_WAY) await this.#pace();
    };
    for (const { name, from, count: size } of parts) {
      const { dtype } = this.#checkpoint.entry(name), width = this.#widthOf(name);
      for (let begin = 0; begin < size;) {
        const count = Math.min(PIECE - filled, size - begin), at = (from + begin) * width;
        const read = (into: Uint8Array) => this.#checkpoint.readInto(name, at, into);
        this.#converter.convert(name, dtype, filled, count, read);
        begin += count;
        filled += count;
        this.#done += count * width;
        if (filled === PIECE) await send();
      }
    }
    if (filled > 0) await send();
  }

  /**
   * Waits for the pieces before the last ones: the device copies while the next are read, and does not
   * keep all of them in host memory.
   */
  async #pace(): Promise<void> {
    await this.#copied;
    this.#copied = currentSession().gpu.idle();
    this.#copied.catch(() => {}); // thrown where it is waited for
    this.#underWay = 0;
    this.#options.progress?.(this.#done, this.#total);
  }
}

/**
 * Reads tensors onto the device of the current session.
 *
 * @param names the published tensors to read
 * @returns the tensors by name: joined ones as `joinedTensors()` calls them
 * @throws {RangeError} if one is larger than the device can bind, or beyond the range of f16.
 * @throws {TypeError} if one holds no floats. @throws {Error} if the device has not enough memory;
 * nothing is read then.
 */
export async function loadTensors(
  checkpoint: Checkpoint,
  names: Iterable<string>,
  options: WeightOptions = {},
): Promise<Map<string, Tensor>> {
  return await new TensorLoader(checkpoint, options).load(names);
}
