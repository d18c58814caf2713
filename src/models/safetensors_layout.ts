/**
 * How safetensors files are laid out and written: the order of tensors, the header, and a file under a
 * temporary name until it is whole.
 *
 * @module
 */
import { SAFETENSORS_ARRAYS, type SafetensorsDType } from "./safetensors_dtypes.ts";
import { LONGEST_HEADER, PREFIX_BYTES } from "./safetensors_header.ts";

/** What the header says of a tensor. */
export interface Described {
  /** Its name in the file. */
  readonly name: string;
  /** Element type in the file. */
  readonly dtype: SafetensorsDType;
  /** Sizes of the axes, outermost first; empty for a scalar. */
  readonly shape: readonly number[];
}

/** Bytes of a tensor in the file. */
export const bytesOf = ({ dtype, shape }: Pick<Described, "dtype" | "shape">): number =>
  shape.reduce((product, size) => product * size, SAFETENSORS_ARRAYS[dtype].BYTES_PER_ELEMENT);

const byText = (a: string, b: string): number => a < b ? -1 : a > b ? 1 : 0;

/**
 * Wide element types first and by name within a type: equal contents give equal bytes, and every
 * tensor starts at a multiple of its element size.
 */
export function inFileOrder<T extends Described>(tensors: readonly T[]): T[] {
  const width = ({ dtype }: T) => SAFETENSORS_ARRAYS[dtype].BYTES_PER_ELEMENT;
  return tensors.toSorted((a, b) => width(b) - width(a) || byText(a.name, b.name));
}

/**
 * The header of tensors that lie one after the other: its length, its text, spaces up to a multiple of
 * 8 bytes.
 *
 * @throws {RangeError} if it is longer than the format allows.
 */
export function headerBytes(
  ordered: readonly Described[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array<ArrayBuffer> {
  const fields: string[] = [];
  const field = (name: string, value: unknown): void => {
    fields.push(`${JSON.stringify(name)}:${JSON.stringify(value)}`);
  };
  const texts = Object.entries(metadata).sort(([a], [b]) => byText(a, b));
  if (texts.length > 0) field("__metadata__", Object.fromEntries(texts));
  let begin = 0;
  for (const { name, dtype, shape } of ordered) {
    const end = begin + bytesOf({ dtype, shape });
    field(name, { dtype, shape, data_offsets: [begin, end] });
    begin = end;
  }
  const json = new TextEncoder().encode(`{${fields.join(",")}}`);
  const length = Math.ceil(json.length / 8) * 8;
  if (length > LONGEST_HEADER) {
    throw new RangeError(
      `${ordered.length} tensors need a header of ${length} bytes, over the limit of ` +
        `${LONGEST_HEADER}; write several files`,
    );
  }
  const head = new Uint8Array(PREFIX_BYTES + length).fill(0x20); // Spaces are the padding.
  new DataView(head.buffer).setBigUint64(0, BigInt(length), true);
  head.set(json, PREFIX_BYTES);
  return head;
}

/**
 * Writes a file under a temporary name, flushes it to disk and renames it, so that there is never half
 * a file under `path`. Needs Deno.
 *
 * @param fill calls `write` for one piece after the other
 */
export async function writeAtomically(
  path: string | URL,
  fill: (write: (bytes: Uint8Array) => Promise<void>) => Promise<void>,
): Promise<void> {
  const suffix = `.${crypto.randomUUID().slice(0, 8)}.part`;
  const temporary = path instanceof URL ? new URL(path.href + suffix) : path + suffix;
  try {
    {
      using file = await Deno.open(temporary, { write: true, createNew: true });
      await fill(async (bytes) => {
        for (let written = 0; written < bytes.length;) {
          written += await file.write(bytes.subarray(written));
        }
      });
      await file.sync();
    }
    await Deno.rename(temporary, path);
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    throw error;
  }
}
