/**
 * Conversion of a file's bytes to the element type of device tensors, piece by piece and without
 * garbage: the same two buffers serve for all pieces.
 */
import { fromBfloat16, type SafetensorsDType } from "./safetensors_dtypes.ts";

/** Element types that weights can have on the device. */
export type WeightDType = "f32" | "f16";

/** Bits of a 16-bit float to those of an f32 or f16; there are only 65,536 of them. */
type Table = Uint32Array | Uint16Array;

/** All 16-bit patterns. */
const patterns = (): Uint16Array<ArrayBuffer> => Uint16Array.from({ length: 65536 }, (_, i) => i);

function tableOf(from: "F16" | "BF16", to: WeightDType): Table {
  const all = from === "F16" ? new Float16Array(patterns().buffer) : fromBfloat16(patterns());
  return to === "f32"
    ? new Uint32Array(new Float32Array(all).buffer)
    : new Uint16Array(new Float16Array(all).buffer);
}

/** Bytes of a float's element in a file; undefined for other types. */
const FLOAT_BYTES: Partial<Record<SafetensorsDType, number>> = { F64: 8, F32: 4, F16: 2, BF16: 2 };

/** Elements that are converted at a time: 8 MiB of f32. */
export const PIECE = 2 ** 21;

/** An array of weights on their way to the device. */
export type WeightArray = Float32Array<ArrayBuffer> | Float16Array<ArrayBuffer>;

/** Converts pieces of up to {@linkcode PIECE} elements. */
export class WeightConverter {
  /** As many elements as a piece has, to convert into. */
  readonly values: WeightArray;
  readonly #bytes = new ArrayBuffer(8 * PIECE);
  readonly #tables = new Map<string, Table>();

  /** @param to type of the tensors on the device */
  constructor(readonly to: WeightDType) {
    this.values = to === "f32" ? new Float32Array(PIECE) : new Float16Array(PIECE);
  }

  /**
   * Reads numbers of a file into {@linkcode values}.
   *
   * @param name what is read, for messages @param from type in the file
   * @param at first element to set @param count how many @param read fills the given bytes
   * @throws {TypeError} if the file's type is no float. @throws {RangeError} if a number is infinite
   * as f16.
   */
  convert(
    name: string,
    from: SafetensorsDType,
    at: number,
    count: number,
    read: (into: Uint8Array) => void,
  ): void {
    const size = FLOAT_BYTES[from];
    if (size === undefined) throw new TypeError(`${name} is ${from}: no floats`);
    const out = this.values.subarray(at, at + count);
    if (from.toLowerCase() === this.to) {
      return read(new Uint8Array(out.buffer, out.byteOffset, out.byteLength));
    }
    read(new Uint8Array(this.#bytes, 0, count * size));
    this.#convert(from, out);
    if (out instanceof Float16Array) refuseInfinite(name, out);
  }

  #convert(from: SafetensorsDType, out: WeightArray): void {
    const source = this.#bytes, { length: count, byteOffset } = out;
    if (from === "F64") return out.set(new Float64Array(source, 0, count));
    if (from === "F32") return out.set(new Float32Array(source, 0, count));
    const bits = new Uint16Array(source, 0, count);
    if (from === "BF16" && this.to === "f32") {
      const words = new Uint32Array(out.buffer, byteOffset, count);
      for (let i = 0; i < count; i++) words[i] = bits[i] << 16;
      return;
    }
    const table = this.#table(from as "F16" | "BF16");
    const words = this.to === "f32"
      ? new Uint32Array(out.buffer, byteOffset, count)
      : new Uint16Array(out.buffer, byteOffset, count);
    for (let i = 0; i < count; i++) words[i] = table[bits[i]];
  }

  #table(from: "F16" | "BF16"): Table {
    let table = this.#tables.get(from);
    if (!table) this.#tables.set(from, table = tableOf(from, this.to));
    return table;
  }
}

function refuseInfinite(name: string, values: Float16Array<ArrayBuffer>): void {
  const bits = new Uint16Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < bits.length; i++) {
    if ((bits[i] & 0x7c00) === 0x7c00) {
      throw new RangeError(
        `${name} holds a value beyond 65,504, the largest f16, or none at all; load it as f32`,
      );
    }
  }
}
