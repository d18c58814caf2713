/**
 * Rows of JSON and JSONL files of any size, each read when it is asked for.
 *
 * @module
 */

import { type FileHandle, open } from "node:fs/promises";
import { type JsonLayout, JsonScan } from "./json_scan.ts";

/** Bytes read at a time while rows are looked for. */
const PIECE = 1 << 20;

/** Longest row that is read; beyond it a quote or bracket is missing. */
const LONGEST = 1 << 26;

/** Numbers in a typed array that grows. */
class Offsets {
  #values = new Float64Array(1024);
  length = 0;

  push(value: number): void {
    if (this.length === this.#values.length) {
      const grown = new Float64Array(2 * this.length);
      grown.set(this.#values);
      this.#values = grown;
    }
    this.#values[this.length++] = value;
  }

  at(index: number): number {
    return this.#values[index];
  }
}

/** Options of {@linkcode JsonRows.open}. */
export interface JsonRowsOptions {
  /** Name of the list where the file holds an object: `questions` of VQAv2, `data` of TextVQA. */
  readonly list?: string;
}

/**
 * The rows of a JSON list or a JSONL file: where they lie is found once, 16 bytes a row are kept,
 * and each is read on its own. A row that is broken spoils no other, unless it lacks a quote or a
 * closing bracket: such a one reaches to the end of a list (in JSONL to the end of the line).
 *
 * @example
 * ```ts ignore
 * import { JsonRows } from "@moiie/lab/data";
 * await using rows = await JsonRows.open("llava_v1_5_mix665k.json");
 * console.log(rows.length, await rows.value(123456));
 * ```
 */
export class JsonRows implements AsyncDisposable {
  /** The file. */
  readonly path: string;
  #file: FileHandle;
  #starts: Offsets;
  #ends: Offsets;

  private constructor(path: string, file: FileHandle, starts: Offsets, ends: Offsets) {
    this.path = path;
    this.#file = file;
    this.#starts = starts;
    this.#ends = ends;
  }

  /**
   * Finds the rows of a file: the elements of its list, or its lines where the file begins with an
   * object and no list is named.
   *
   * @throws {Deno.errors.NotFound} if there is no such file.
   * @throws {SyntaxError} if the file is empty or holds something else.
   */
  static async open(path: string, options: JsonRowsOptions = {}): Promise<JsonRows> {
    const file = await open(path).catch((cause) => {
      if (cause.code !== "ENOENT") throw cause;
      throw new Deno.errors.NotFound(`there is no file ${path}`, { cause });
    });
    try {
      const starts = new Offsets(), ends = new Offsets();
      const scan = new JsonScan(await layoutOf(file, path, options));
      const piece = new Uint8Array(PIECE);
      for (let position = 0;;) {
        const { bytesRead } = await file.read(piece, 0, PIECE, position);
        const found = bytesRead === 0 ? scan.end() : scan.push(piece.subarray(0, bytesRead));
        for (const [start, end] of found) {
          starts.push(start);
          ends.push(end);
        }
        if (bytesRead === 0) break;
        position += bytesRead;
      }
      if (!scan.found) throw new SyntaxError(`${path} has no list "${options.list}"`);
      return new JsonRows(path, file, starts, ends);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** How many rows there are, broken ones included. */
  get length(): number {
    return this.#starts.length;
  }

  /**
   * The text of a row.
   *
   * @param index from 0
   * @throws {RangeError} if there is no such row, or it is longer than 64 MiB.
   */
  async text(index: number): Promise<string> {
    if (!Number.isInteger(index) || index < 0 || index >= this.length) {
      throw new RangeError(`${this.path} has the rows 0 to ${this.length - 1}, not ${index}`);
    }
    const start = this.#starts.at(index), length = this.#ends.at(index) - start;
    if (length > LONGEST) {
      throw new RangeError(
        `row ${index} of ${this.path} begins at byte ${start} and has ${length} bytes: a quote or ` +
          `a closing bracket is missing in it`,
      );
    }
    const bytes = new Uint8Array(length);
    for (let read = 0; read < length;) {
      const { bytesRead } = await this.#file.read(bytes, read, length - read, start + read);
      if (bytesRead === 0) throw new RangeError(`${this.path} became shorter while it was read`);
      read += bytesRead;
    }
    return new TextDecoder().decode(bytes);
  }

  /**
   * A row.
   *
   * @param index from 0
   * @throws {SyntaxError} if the row is not JSON; see {@linkcode JsonRows.text} for others.
   */
  async value(index: number): Promise<unknown> {
    const text = await this.text(index);
    try {
      return JSON.parse(text);
    } catch (cause) {
      const message = (cause as Error).message;
      throw new SyntaxError(`row ${index} of ${this.path} is not JSON: ${message}`, { cause });
    }
  }

  /** All rows in the order of the file. @throws {SyntaxError} if one is not JSON */
  async *values(): AsyncGenerator<unknown> {
    for (let index = 0; index < this.length; index++) yield await this.value(index);
  }

  /** Closes the file. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }
}

/** The layout that the first character shows. */
async function layoutOf(
  file: FileHandle,
  path: string,
  { list }: JsonRowsOptions,
): Promise<JsonLayout> {
  const bytes = new Uint8Array(4096);
  const { bytesRead } = await file.read(bytes, 0, bytes.length, 0);
  const first = new TextDecoder().decode(bytes.subarray(0, bytesRead)).trimStart()[0];
  if (first === "[") return "list";
  if (first === "{") return list === undefined ? "lines" : { named: list };
  throw new SyntaxError(
    first === undefined
      ? `${path} is empty`
      : `${path} begins with ${JSON.stringify(first)}, neither a JSON list nor JSON lines`,
  );
}
