/**
 * Element types of safetensors files: their sizes, the typed arrays that carry them, and the
 * conversion of bfloat16, for which JavaScript has no array.
 *
 * @module
 */

/**
 * The typed array that carries each element type. BF16 has none in JavaScript and comes as its bit
 * patterns (see {@linkcode fromBfloat16}); BOOL comes as bytes, 0 or 1.
 */
export interface SafetensorsArrays {
  /** 64-bit floats. */
  F64: Float64Array;
  /** 32-bit floats. */
  F32: Float32Array;
  /** 16-bit floats. */
  F16: Float16Array;
  /** Bit patterns of bfloat16 numbers. */
  BF16: Uint16Array;
  /** 64-bit integers. */
  I64: BigInt64Array;
  /** 32-bit integers. */
  I32: Int32Array;
  /** 16-bit integers. */
  I16: Int16Array;
  /** 8-bit integers. */
  I8: Int8Array;
  /** Bytes. */
  U8: Uint8Array;
  /** Truth values, one byte each. */
  BOOL: Uint8Array;
}

/** An element type, by its name in the file. */
export type SafetensorsDType = keyof SafetensorsArrays;

/** A tensor in host memory, row-major, in its own element type. */
export type SafetensorsTensor = {
  [D in SafetensorsDType]: {
    /** Element type. */
    readonly dtype: D;
    /** Sizes of the axes, outermost first; empty for a scalar. */
    readonly shape: readonly number[];
    /** As many elements as the product of the shape. */
    readonly data: SafetensorsArrays[D];
  };
}[SafetensorsDType];

/** The class of each element type's typed array. */
export const SAFETENSORS_ARRAYS: {
  [D in SafetensorsDType]: {
    /** A view of the whole buffer. */
    new (buffer: ArrayBuffer): SafetensorsArrays[D];
    /** Bytes of one element. */
    readonly BYTES_PER_ELEMENT: number;
  };
} = {
  F64: Float64Array,
  F32: Float32Array,
  F16: Float16Array,
  BF16: Uint16Array,
  I64: BigInt64Array,
  I32: Int32Array,
  I16: Int16Array,
  I8: Int8Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
};

/**
 * The float32 values of bfloat16 bit patterns: exact, as bfloat16 is the upper half of float32.
 *
 * @param bits Bit patterns.
 */
export function fromBfloat16(bits: Uint16Array): Float32Array<ArrayBuffer> {
  const words = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) words[i] = bits[i] << 16;
  return new Float32Array(words.buffer);
}

/**
 * Rounds float32 values to bfloat16: to nearest, ties to even, NaN stays NaN (as PyTorch does).
 *
 * @param values Float32 values.
 * @returns Bit patterns.
 */
export function toBfloat16(values: Float32Array): Uint16Array<ArrayBuffer> {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const bits = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const word = words[i];
    const isNaN = (word & 0x7fffffff) > 0x7f800000;
    // Rounding could carry a NaN's last set bits out of it, so it is made quiet instead.
    bits[i] = isNaN ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
  return bits;
}
