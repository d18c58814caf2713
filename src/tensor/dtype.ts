/** Element types of tensors and the typed arrays that carry them on the host. */

/** Element type of a tensor. `bool` is held as one u32 an element (0 or 1). */
export type DType = "f32" | "i32" | "u32" | "bool";

/** Host array of one tensor: `Float32Array` for f32, `Int32Array` for i32, `Uint32Array` for u32 and bool. */
export type HostData = Float32Array | Int32Array | Uint32Array;

/** Bytes of one element in device memory (4 for every type so far). */
export const BYTES_PER_ELEMENT = 4;

/** The host array class of a dtype. */
export function hostArray(dtype: DType, length: number): HostData;
/** A typed view of raw bytes read back from a device. */
export function hostArray(dtype: DType, bytes: ArrayBuffer): HostData;
export function hostArray(dtype: DType, source: number | ArrayBuffer): HostData {
  const array = dtype === "f32" ? Float32Array : dtype === "i32" ? Int32Array : Uint32Array;
  return new array(source as ArrayBuffer);
}

/**
 * Converts a list of numbers to the host array of `dtype`. A typed array of the right class is
 * taken as it is, without a copy.
 *
 * @throws {RangeError} if an integer dtype is given a value that it cannot hold.
 */
export function toHost(values: ArrayLike<number>, dtype: DType): HostData {
  const out = hostArray(dtype, 0);
  if (values.constructor === out.constructor) return values as HostData;
  const array = hostArray(dtype, values.length);
  for (let i = 0; i < values.length; i++) {
    array[i] = values[i];
    if (dtype !== "f32" && array[i] !== values[i]) {
      throw new RangeError(`value ${values[i]} at position ${i} is not a ${dtype}`);
    }
  }
  return array;
}

/** The dtype that fits a host array when none is named. */
export function dtypeOf(values: ArrayLike<number>): DType {
  if (values instanceof Int32Array) return "i32";
  if (values instanceof Uint32Array) return "u32";
  return "f32";
}
