/**
 * The header of a safetensors file: which tensors it holds and where. A file is the header's
 * length (u64), the header (JSON, UTF-8) and the bytes of all tensors one after the other, all
 * little-endian. The checks are those of the format's own reader
 * (https://github.com/huggingface/safetensors, `tensor.rs`), and duplicate names besides.
 *
 * @module
 */

import { SAFETENSORS_ARRAYS, type SafetensorsDType } from "./safetensors_dtypes.ts";

/** What the header says about one tensor. */
export interface SafetensorsEntry {
  /** Element type. */
  readonly dtype: SafetensorsDType;
  /** Sizes of the axes, outermost first; empty for a scalar. */
  readonly shape: readonly number[];
  /** First byte of the tensor, counted from the end of the header. */
  readonly begin: number;
  /** One past the last byte of the tensor, counted from the end of the header. */
  readonly end: number;
}

/** A checked header. */
export interface SafetensorsHeader {
  /** The tensors by name, in the order of their bytes. */
  readonly entries: ReadonlyMap<string, SafetensorsEntry>;
  /** Free text by key, as in `{ "format": "pt" }`. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** Longest header that is read or written, in bytes: the limit of the format's own reader. */
export const LONGEST_HEADER = 100_000_000;

/** Bytes of the number in front of the header. */
export const PREFIX_BYTES = 8;

/** Deepest nesting that the format knows: header, tensor, shape. */
const DEEPEST = 3;

/** The name as it goes into an error message: quoted, and cut where it is absurdly long. */
function quote(name: string): string {
  return JSON.stringify(name.length > 100 ? `${name.slice(0, 100)}…` : name);
}

/**
 * Reads the length of the header.
 *
 * @param prefix The first bytes of the file, at least 8 if it has as many.
 * @param fileBytes Size of the whole file.
 * @param source The file's name, for error messages.
 * @returns Bytes of the header, which the file is long enough to hold.
 * @throws {RangeError} if the file is too short for the header, or the header is over 100 MB.
 */
export function headerLength(prefix: Uint8Array, fileBytes: number, source: string): number {
  if (fileBytes < PREFIX_BYTES) {
    throw new RangeError(
      `${source}: ${fileBytes} bytes are too few for a safetensors file, which starts with ` +
        `the 8 bytes of its header's length`,
    );
  }
  const length = new DataView(prefix.buffer, prefix.byteOffset).getBigUint64(0, true);
  if (length > LONGEST_HEADER) {
    throw new RangeError(
      `${source}: a header of ${length} bytes is over the limit of ${LONGEST_HEADER}; ` +
        `is this a safetensors file?`,
    );
  }
  if (Number(length) > fileBytes - PREFIX_BYTES) {
    throw new RangeError(
      `${source}: a header of ${length} bytes does not fit into the file's ${fileBytes}; ` +
        `is the download complete?`,
    );
  }
  return Number(length);
}

/**
 * Reads and checks a header.
 *
 * @param header The bytes of the header.
 * @param dataBytes Bytes that follow the header in the file.
 * @param source The file's name, for error messages.
 * @throws {SyntaxError} if the header is not the JSON that the format asks for.
 * @throws {RangeError} if sizes or offsets do not fit each other or the file.
 */
export function parseHeader(
  header: Uint8Array,
  dataBytes: number,
  source: string,
): SafetensorsHeader {
  const fields = parseJson(header, source);
  const metadata = checkMetadata(fields.__metadata__ ?? {}, source);
  const entries = Object.entries(fields)
    .filter(([name]) => name !== "__metadata__")
    .map(([name, value]) => [name, checkEntry(name, value, source)] as const)
    .sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  checkLayout(entries, dataBytes, source);
  return { entries: new Map(entries), metadata };
}

function parseJson(header: Uint8Array, source: string): Record<string, unknown> {
  let fields: unknown;
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(header);
    checkNestingAndNames(text);
    fields = JSON.parse(text);
  } catch (cause) {
    throw new SyntaxError(
      `${source}: the header is not the JSON of a safetensors file: ${(cause as Error).message}`,
      { cause },
    );
  }
  if (!isRecord(fields)) throw new SyntaxError(`${source}: the header is not a JSON object`);
  return fields;
}

/**
 * Refuses what `JSON.parse` would let pass: a name that stands twice (the last one would win) and
 * nesting that only a hostile file has. Text that is not JSON is left to `JSON.parse`.
 */
function checkNestingAndNames(text: string): void {
  const open: (Set<string> | undefined)[] = []; // The names of each open object; none for arrays.
  let atName = false;
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (char === "{" || char === "[") {
      open.push(char === "{" ? new Set() : undefined);
      atName = char === "{";
      if (open.length > DEEPEST) throw new SyntaxError(`nested too deeply at position ${i}`);
    } else if (char === "}" || char === "]") {
      open.pop();
      atName = false;
    } else if (char === ",") {
      atName = open.at(-1) !== undefined;
    } else if (char === '"') {
      const start = i++;
      while (i < text.length && text[i] !== '"') i += text[i] === "\\" ? 2 : 1;
      if (!atName) continue;
      atName = false;
      const name: string = JSON.parse(text.slice(start, i + 1));
      const names = open.at(-1)!;
      if (names.has(name)) throw new SyntaxError(`the name ${quote(name)} stands there twice`);
      names.add(name);
    }
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function checkMetadata(value: unknown, source: string): Record<string, string> {
  if (!isRecord(value) || Object.values(value).some((text) => typeof text !== "string")) {
    throw new SyntaxError(`${source}: __metadata__ is not an object of strings`);
  }
  return value as Record<string, string>;
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

function checkEntry(name: string, value: unknown, source: string): SafetensorsEntry {
  const where = `${source}: tensor ${quote(name)}`;
  if (!isRecord(value)) throw new SyntaxError(`${where} is not described by an object`);
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== "string" || !Object.hasOwn(SAFETENSORS_ARRAYS, dtype)) {
    throw new SyntaxError(
      `${where} has dtype ${quote(JSON.stringify(dtype) ?? "undefined")}; ` +
        `supported are ${Object.keys(SAFETENSORS_ARRAYS).join(", ")}`,
    );
  }
  if (!isSizes(shape)) {
    throw new SyntaxError(`${where} has no shape, a list of sizes from 0 to 2^53 - 1`);
  }
  if (!isSizes(offsets) || offsets.length !== 2) {
    throw new SyntaxError(`${where} has no data_offsets, a pair of positions`);
  }
  const [begin, end] = offsets;
  const bytes = byteLength(shape, dtype as SafetensorsDType);
  if (!Number.isSafeInteger(bytes)) {
    throw new RangeError(`${where} has shape [${clip(shape)}], too large for any file`);
  }
  if (bytes !== end - begin) {
    throw new RangeError(
      `${where} of shape [${clip(shape)}] and dtype ${dtype} needs ${bytes} bytes, ` +
        `but its data_offsets [${begin}, ${end}] hold ${end - begin}`,
    );
  }
  return { dtype: dtype as SafetensorsDType, shape, begin, end };
}

function clip(shape: number[]): string {
  return shape.length > 12 ? `${shape.slice(0, 12)},… ${shape.length} axes` : String(shape);
}

/** Bytes of a tensor; not a safe integer where any partial product is none. */
function byteLength(shape: readonly number[], dtype: SafetensorsDType): number {
  let bytes = SAFETENSORS_ARRAYS[dtype].BYTES_PER_ELEMENT;
  for (const size of shape) {
    bytes *= size;
    if (!Number.isSafeInteger(bytes)) return NaN;
  }
  return bytes;
}

/** The tensors must cover the data from its first byte to its last, without holes or overlaps. */
function checkLayout(
  entries: readonly (readonly [string, SafetensorsEntry])[],
  dataBytes: number,
  source: string,
): void {
  let covered = 0;
  let before = "the header";
  for (const [name, { begin, end }] of entries) {
    if (begin !== covered) {
      throw new RangeError(
        `${source}: tensor ${quote(name)} starts at byte ${begin} of the data, ` +
          `but ${before} ends at byte ${covered}: ` +
          (begin < covered ? "they overlap" : "nothing describes the bytes between"),
      );
    }
    covered = end;
    before = `tensor ${quote(name)}`;
  }
  if (covered !== dataBytes) {
    throw new RangeError(
      `${source}: the header describes ${covered} bytes of data, the file holds ${dataBytes}` +
        (covered > dataBytes ? "; is the download complete?" : ""),
    );
  }
}
