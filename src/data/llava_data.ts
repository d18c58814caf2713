/**
 * Training data in the format of LLaVA: conversations about pictures, as a JSON list or as JSON
 * lines, and a folder of pictures. Read row by row, however large the file.
 *
 * The format is the one of `LazySupervisedDataset` in https://github.com/haotian-liu/LLaVA
 * (`llava/train/train.py`), with several pictures as in LLaVA-NeXT.
 *
 * @module
 */

import { stat } from "node:fs/promises";
import { isAbsolute, join, relative } from "node:path";
import { Random } from "../tensor/random.ts";
import { JsonRows } from "./json_rows.ts";

/** Stands in a text where a picture goes. */
export const IMAGE_TAG = "<image>";

/** What one side says. */
export interface LlavaTurn {
  /** Who. */
  readonly role: "human" | "gpt";
  /** What, with {@linkcode IMAGE_TAG} where pictures go. */
  readonly text: string;
}

/** A conversation, checked. */
export interface LlavaRow {
  /** Number of the row in its file, from 0. */
  readonly index: number;
  /** `id` of the row, or its number. */
  readonly id: string;
  /** Paths of the pictures in the order of their tags; none for a text without pictures. */
  readonly images: readonly string[];
  /** Turns, the human's first, then in alternation. */
  readonly turns: readonly LlavaTurn[];
}

/** Why a row cannot be used. */
export type BadRowReason =
  | "broken JSON"
  | "empty conversation"
  | "unknown role"
  | "turns out of order"
  | "image count"
  | "path outside of the folder"
  | "missing picture"
  | "broken picture"
  | "too long";

/** A row that cannot be used. */
export interface BadRow {
  /** Number of the row in its file, from 0. */
  readonly index: number;
  /** `id` of the row, where it could be read. */
  readonly id?: string;
  /** Kind of fault. */
  readonly reason: BadRowReason;
  /** The fault in words. */
  readonly detail: string;
}

/** Counts bad rows and keeps the first ones. */
export class BadRows {
  /** How many were reported, by reason. */
  readonly counts: Map<BadRowReason, number> = new Map();
  /** The first hundred. */
  readonly first: BadRow[] = [];
  /** How many may be reported. */
  readonly limit: number;
  #seen = new Set<number>();

  /**
   * Makes an empty list.
   *
   * @param limit how many bad rows are borne before {@linkcode BadRows.add} throws
   */
  constructor(limit: number = Infinity) {
    this.limit = limit;
  }

  /** How many different rows were reported. */
  get count(): number {
    return this.#seen.size;
  }

  /**
   * Takes a bad row down, once, however often it is met.
   *
   * @throws {RangeError} if there are more than {@linkcode BadRows.limit}.
   */
  add(row: BadRow): void {
    if (this.#seen.has(row.index)) return;
    this.#seen.add(row.index);
    this.counts.set(row.reason, (this.counts.get(row.reason) ?? 0) + 1);
    if (this.first.length < 100) this.first.push(row);
    if (this.count > this.limit) {
      throw new RangeError(`more than ${this.limit} bad rows:\n${this.summary()}`);
    }
  }

  /** The counts and the first rows of each reason, as text. */
  summary(examples: number = 3): string {
    if (this.count === 0) return "no bad rows";
    const lines = [`${this.count} bad row${this.count === 1 ? "" : "s"} skipped`];
    for (const [reason, count] of this.counts) {
      lines.push(`  ${count} x ${reason}`);
      const shown = this.first.filter((row) => row.reason === reason).slice(0, examples);
      for (const { index, id, detail } of shown) {
        lines.push(`    row ${index}${id === undefined ? "" : ` (${id})`}: ${detail}`);
      }
    }
    return lines.join("\n");
  }
}

/** Where reading goes on: plain data, to be kept in a checkpoint. */
export interface LlavaCursor {
  /** Passes over the data that are done. */
  readonly epoch: number;
  /** Rows of this pass that are done, bad ones included. */
  readonly position: number;
}

/** Options of {@linkcode LlavaData.open}. */
export interface LlavaDataOptions {
  /** Folder that the paths of pictures start from. */
  imageFolder: string;
  /** Whether to look for the picture of each row that is read. Default true. */
  checkPictures?: boolean;
}

/** Options of {@linkcode LlavaData.rows}. */
export interface LlavaRowsOptions {
  /** Shuffles each pass, the same way for the same seed; without it, the order of the file. */
  seed?: number;
  /** Where to go on. Default at the beginning. */
  cursor?: LlavaCursor;
  /** Passes over the data, those before the cursor included. Default 1. */
  epochs?: number;
  /** Takes down the rows that are skipped. */
  bad?: BadRows;
}

/**
 * A file of conversations. Opening it finds where its rows lie; the rows stay on the disk, so that
 * they can be read in any order: the shuffle is a true one, over all rows.
 *
 * @example
 * ```ts ignore
 * import { BadRows, LlavaData } from "@moiie/lab/data";
 * await using data = await LlavaData.open("bunny_695k.json", { imageFolder: "images" });
 * const bad = new BadRows();
 * for await (const { row, next } of data.rows({ seed: 1, bad })) console.log(row.id, next);
 * console.log(bad.summary());
 * ```
 */
export class LlavaData implements AsyncDisposable {
  /** Folder that the paths of pictures start from. */
  readonly imageFolder: string;
  #rows: JsonRows;
  #checkPictures: boolean;

  private constructor(rows: JsonRows, { imageFolder, checkPictures = true }: LlavaDataOptions) {
    this.#rows = rows;
    this.imageFolder = imageFolder;
    this.#checkPictures = checkPictures;
  }

  /**
   * Opens a file; `.json` and `.jsonl` are told apart by their first character.
   *
   * @throws {Deno.errors.NotFound} if there is no such file.
   * @throws {SyntaxError} if it is empty, or neither a list nor lines.
   */
  static async open(path: string, options: LlavaDataOptions): Promise<LlavaData> {
    return new LlavaData(await JsonRows.open(path), options);
  }

  /** How many rows there are, bad ones included. */
  get length(): number {
    return this.#rows.length;
  }

  /**
   * A row, or why it cannot be used.
   *
   * @throws {RangeError} if there is no row of that number.
   */
  async read(index: number): Promise<LlavaRow | BadRow> {
    let value: unknown;
    try {
      value = await this.#rows.value(index);
    } catch (error) {
      if (index < 0 || index >= this.length || !Number.isInteger(index)) throw error;
      return { index, reason: "broken JSON", detail: (error as Error).message };
    }
    const row = checkedRow(value, index, this.imageFolder);
    if ("reason" in row || !this.#checkPictures) return row;
    for (const path of row.images) {
      const found = await stat(path).catch(() => undefined);
      if (found?.isFile()) continue;
      return { index, id: row.id, reason: "missing picture", detail: `there is no file ${path}` };
    }
    return row;
  }

  /**
   * The usable rows, one after the other, each with the cursor to go on after it. A pass is a
   * permutation of all rows that follows from the seed and the number of the pass alone.
   *
   * @throws {RangeError} if the cursor lies outside of the data, or there are too many bad rows.
   */
  async *rows(
    options: LlavaRowsOptions = {},
  ): AsyncGenerator<{ row: LlavaRow; next: LlavaCursor }> {
    const { seed, cursor = { epoch: 0, position: 0 }, epochs = 1, bad } = options;
    const { position: first } = cursor;
    if (!Number.isInteger(cursor.epoch) || cursor.epoch < 0 || !(first >= 0)) {
      throw new RangeError(`a cursor has an epoch and a position from 0, not ${show(cursor)}`);
    }
    if (!Number.isInteger(first) || first > this.length) {
      throw new RangeError(
        `the cursor is at row ${first}, but there are ${this.length} rows: it belongs to other data`,
      );
    }
    for (let epoch = cursor.epoch; epoch < epochs; epoch++) {
      const order = seed === undefined ? undefined : permutation(this.length, seed, epoch);
      for (let i = epoch === cursor.epoch ? first : 0; i < this.length; i++) {
        const row = await this.read(order ? order[i] : i);
        if ("reason" in row) bad?.add(row);
        else yield { row, next: { epoch, position: i + 1 } };
      }
    }
  }

  /** Closes the file. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#rows[Symbol.asyncDispose]();
  }
}

function permutation(length: number, seed: number, epoch: number): Uint32Array {
  const order = Uint32Array.from({ length }, (_, index) => index);
  return new Random(seed, `llava/epoch ${epoch}`).shuffle(order);
}

const show = (value: unknown): string => {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
};

/** Names of the two sides; the second ones are those of chat templates. */
const ROLES: ReadonlyMap<unknown, LlavaTurn["role"]> = new Map([
  ["human", "human"],
  ["user", "human"],
  ["gpt", "gpt"],
  ["assistant", "gpt"],
]);

/** A row of a file as it should be, or what is wrong with it. */
function checkedRow(value: unknown, index: number, imageFolder: string): LlavaRow | BadRow {
  const { id: given, image, conversations } = (value ?? {}) as Record<string, unknown>;
  const id = typeof given === "string" || typeof given === "number" ? String(given) : `${index}`;
  const bad = (reason: BadRowReason, detail: string): BadRow => ({ index, id, reason, detail });
  if (!Array.isArray(conversations)) {
    return bad(
      "empty conversation",
      `conversations should be a list, it is ${show(conversations)}`,
    );
  }
  const turns: LlavaTurn[] = [];
  for (const turn of conversations) {
    const { from, value: text } = (turn ?? {}) as Record<string, unknown>;
    const role = ROLES.get(from);
    if (role === undefined) return bad("unknown role", `${show(from)} is neither human nor gpt`);
    if (typeof text !== "string") {
      return bad("empty conversation", `a turn has the text ${show(text)}`);
    }
    turns.push({ role, text });
  }
  // As in LLaVA: what the model says before anybody asked is left out.
  if (turns[0]?.role === "gpt") turns.shift();
  if (!turns.some(({ role, text }) => role === "gpt" && text.trim() !== "")) {
    return bad("empty conversation", `there is no answer in ${conversations.length} turns`);
  }
  const late = turns.findIndex(({ role }, i) => (role === "human") !== (i % 2 === 0));
  if (late >= 0) {
    return bad("turns out of order", `two turns in a row are of ${turns[late].role}`);
  }
  const images = image === undefined || image === null
    ? []
    : Array.isArray(image)
    ? image
    : [image];
  if (!images.every((name) => typeof name === "string" && name !== "")) {
    return bad("missing picture", `image should be a path or a list of them, it is ${show(image)}`);
  }
  const fault = tagFault(turns, images.length);
  if (fault) return bad("image count", fault);
  const outside = images.find((name) => leaves(name));
  if (outside !== undefined) {
    return bad("path outside of the folder", `${show(outside)} leaves the folder of pictures`);
  }
  return { index, id, images: images.map((name) => join(imageFolder, name)), turns };
}

function tagFault(turns: readonly LlavaTurn[], images: number): string | undefined {
  const count = (text: string) => text.split(IMAGE_TAG).length - 1;
  if (turns.some(({ role, text }) => role === "gpt" && count(text) > 0)) {
    return `an answer contains ${IMAGE_TAG}`;
  }
  const tags = turns.reduce((sum, { text }) => sum + count(text), 0);
  return tags === images ? undefined : `${tags} x ${IMAGE_TAG} for ${images} pictures`;
}

/** Whether a path, taken from a folder, ends up somewhere else. */
function leaves(path: string): boolean {
  const plain = path.replaceAll("\\", "/");
  const inside = relative("/folder", join("/folder", plain)).replaceAll("\\", "/");
  return isAbsolute(plain) || /^[a-z]:|^[a-z]+:\/\//i.test(plain) || /^\.\.(\/|$)/.test(inside);
}
