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

/**
 * Reads tensors onto the device of the current session.
 *
 * @param names the published tensors to read
 * @returns the tensors by name: joined ones as `joinedTensors()` calls them
 * @throws {RangeError} if one is larger than the device can bind, or beyond the range of f16.
 * @throws {Error} if the device has not enough memory; nothing is read then.
 */
export async function loadTensors(
  checkpoint: Checkpoint,
  names: Iterable<string>,
  options: WeightOptions = {},
): Promise<Map<string, Tensor>> {
  const { dtype = "f32", join = true, progress } = options;
  const shapes = new Map([...names].map((name) => [name, checkpoint.entry(name).shape]));
  const wanted: JoinedTensor[] = join
    ? joinedTensors(shapes)
    : [...shapes].map(([name, shape]) => ({ name, shape, parts: [name] }));
  const made = wanted.map(({ name, shape, parts }) => {
    const t = placeholder(shape, dtype, name);
    t.owner = "parameters";
    return { t, parts };
  });
  await takeMemory(made.map(({ t }) => t));
  const copy = new Copy(checkpoint, dtype, progress, [...shapes.keys()]);
  try {
    for (const { t, parts } of made) await copy.tensor(t, parts);
    await copy.end();
  } catch (error) {
    for (const { t } of made) t.dispose();
    throw error;
  }
  return new Map(made.map(({ t }) => [t.name!, t]));
}

/** The way of tensors from a checkpoint to the device. */
class Copy {
  readonly #checkpoint: Checkpoint;
  readonly #converter: WeightConverter;
  readonly #progress: WeightOptions["progress"];
  readonly #total: number;
  #done = 0;
  #underWay = 0;
  #copied: Promise<void> = Promise.resolve();

  constructor(
    checkpoint: Checkpoint,
    dtype: WeightDType,
    progress: WeightOptions["progress"],
    names: readonly string[],
  ) {
    this.#checkpoint = checkpoint;
    this.#converter = new WeightConverter(dtype);
    this.#progress = progress;
    this.#total = names.reduce((sum, name) => sum + checkpoint.entry(name).bytes, 0);
  }

  /** Copies published tensors, one after the other, into one that has memory. */
  async tensor(t: Tensor, parts: readonly string[]): Promise<void> {
    const { values } = this.#converter;
    let sent = 0, filled = 0;
    const send = async () => {
      writePart(t, sent, values.subarray(0, filled));
      sent += filled;
      this.#underWay += filled * values.BYTES_PER_ELEMENT;
      filled = 0;
      if (this.#underWay >= UNDER_WAY) await this.#pace();
    };
    for (const name of parts) {
      const { dtype, bytes, shape } = this.#checkpoint.entry(name);
      const size = sizeOf(shape), width = bytes / size;
      for (let begin = 0; begin < size;) {
        const count = Math.min(PIECE - filled, size - begin), from = begin * width;
        const read = (into: Uint8Array) => this.#checkpoint.readInto(name, from, into);
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
    this.#progress?.(this.#done, this.#total);
  }

  /** Waits for the last pieces. */
  async end(): Promise<void> {
    await this.#pace();
    await this.#copied;
  }
}
