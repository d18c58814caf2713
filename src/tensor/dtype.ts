/**
 * Element types of tensors and the typed arrays that carry them on the host.
 *
 * f16 (IEEE 754 half precision: 11 significant bits, largest number 65,504) is a type to store: its
 * host array is `Float16Array`, part of JavaScript since 2025 and of every runtime that the library
 * runs on, and kernels compute with f32 in registers.
 */

/** Element type of a tensor. `bool` is held as one u32 an element (0 or 1). */
export type DType = "f32" | "f16" | "i32" | "u32" | "bool";

/**
 * Host array of one tensor: `Float32Array` for f32, `Float16Array` for f16, `Int32Array` for i32,
 * `Uint32Array` for u32 and bool.
 */
export type HostData = Float32Array | Float16Array | Int32Array | Uint32Array;

/** Bytes of one element in device memory. */
export function bytesPerElement(dtype: DType): number {
  return dtype === "f16" ? 2 : 4;
}

/** True for the types of fractional numbers, which gradients flow through. */
export function isFloat(dtype: DType): boolean {
  return dtype === "f32" || dtype === "f16";
}

function arrayClass(dtype: DType) {
  switch (dtype) {
    case "f32":
      return Float32Array;
    case "f16":
      return Float16Array;
    case "i32":
      return Int32Array;
    default:
      return Uint32Array;
  }
}

/** The host array class of a dtype. */
export function hostArray(dtype: DType, length: number): HostData;
/** A typed view of raw bytes read back from a device. */
export function hostArray(dtype: DType, bytes: ArrayBuffer): HostData;
export function hostArray(dtype: DType, source: number | ArrayBuffer): HostData {
  return new (arrayClass(dtype))(source as ArrayBuffer);
}

/**
 * Converts a list of numbers to the host array of `dtype`. A typed array of the right class is
 * taken as it is, without a copy. Floats are rounded to nearest.
 *
 * @throws {RangeError} if an integer dtype is given a value that it cannot hold.
 */
export function toHost(values: ArrayLike<number>, dtype: DType): HostData {
  const out = hostArray(dtype, 0);
  if (values.constructor === out.constructor) return values as HostData;
  const array = hostArray(dtype, values.length);
  for (let i = 0; i < values.length; i++) {
    array[i] = values[i];
    if (!isFloat(dtype) && array[i] !== values[i]) {
      throw new RangeError(`value ${values[i]} at position ${i} is not a ${dtype}`);
    }
  }
  return array;
}

/** The dtype that fits a host array when none is named. */
export function dtypeOf(values: ArrayLike<number>): DType {
  if (values instanceof Int32Array) return "i32";
  if (values instanceof Uint32Array) return "u32";
  if (values instanceof Float16Array) return "f16";
  return "f32";
}
