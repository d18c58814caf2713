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
import { WeightConverter, type WeightDType } from "./weight_conversion.ts";
import { type Filling, type Part, type Piece, PIECE_BYTES, piecesOf } from "./weight_pieces.ts";

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
const UNDER_WAY = 8 * 2 ** 20;

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

/** Reads tensors of a checkpoint onto the device, any number of times with the same host memory. */
export class TensorLoader {
  readonly #checkpoint: Checkpoint;
  readonly #options: WeightOptions;
  readonly #converter: WeightConverter;
  /** One piece is converted while the next is read. */
  readonly #bytes = [new ArrayBuffer(PIECE_BYTES), new ArrayBuffer(PIECE_BYTES)];
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
      parts: parts.map((part) => this.#part(part, 0, sizeOf(shapes.get(part)!))),
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
    const parts = ranges.map(({ from, count }) => this.#part(name, from * size, count * size));
    const rows = ranges.reduce((sum, { count }) => sum + count, 0);
    return (await this.#read([{ name, shape: [rows, ...rest], parts }]))[0];
  }

  #part(name: string, from: number, count: number): Part {
    const { dtype, bytes, shape } = this.#checkpoint.entry(name);
    return { name, dtype, width: bytes / Math.max(1, sizeOf(shape)), from, count };
  }

  async #read(wanted: readonly Filling[]): Promise<Tensor[]> {
    const made = wanted.map(({ name, shape }) => {
      const t = placeholder(shape, this.#options.dtype ?? "f32", name);
      t.owner = "parameters";
      return t;
    });
    await takeMemory(made);
    this.#done = 0;
    this.#total = wanted.flatMap(({ parts }) => parts)
      .reduce((sum, { count, width }) => sum + count * width, 0);
    try {
      await this.#fill(made, piecesOf(wanted));
      await this.#pace();
      await this.#copied;
    } catch (error) {
      for (const t of made) t.dispose();
      throw error;
    }
    return made;
  }

  /** Copies pieces into tensors that have memory: each while the next is read. */
  async #fill(made: readonly Tensor[], pieces: Iterator<Piece, undefined>): Promise<void> {
    let [bytes, others] = this.#bytes;
    let piece = pieces.next().value;
    let reading = piece && this.#start(piece, bytes);
    try {
      while (piece) {
        await reading;
        const next = pieces.next().value;
        reading = next && this.#start(next, others);
        const values = this.#converter.convert(piece, bytes);
        writePart(made[piece.tensor], piece.at, values);
        this.#done += piece.parts.reduce((sum, { count, width }) => sum + count * width, 0);
        this.#underWay += values.byteLength;
        if (this.#underWay >= UNDER_WAY) await this.#pace();
        [piece, bytes, others] = [next, others, bytes];
      }
    } finally {
      await reading?.catch(() => {}); // after an error nothing is read any more
    }
  }

  /** Begins to read a piece. */
  async #start({ parts, width }: Piece, bytes: ArrayBuffer): Promise<void> {
    let at = 0;
    for (const part of parts) {
      const into = new Uint8Array(bytes, at * width, part.count * part.width);
      await this.#checkpoint.readInto(part.name, part.from * part.width, into);
      at += part.count;
    }
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
