/** Data sets in Parquet files, as the Hugging Face hub keeps them. */

import { open, stat } from "node:fs/promises";
import { join } from "node:path";
import { parquetMetadataAsync, parquetReadObjects } from "hyparquet";
import { type Fields, fieldsOf, missing, namesIn } from "./rows.ts";

/**
 * The rows of Parquet files, one after the other. Texts come as texts, other bytes as bytes.
 *
 * @throws {Deno.errors.NotFound} if a file is missing. @throws {SyntaxError} if one is broken.
 */
export async function* parquetRows(
  paths: readonly string[],
): AsyncGenerator<{ row: Fields; where: string }> {
  for (const path of paths) {
    const file = await open(path).catch(missing(path));
    try {
      const { size } = await file.stat();
      const buffer = {
        byteLength: size,
        slice: async (start: number, end: number = size): Promise<ArrayBuffer> => {
          const bytes = new Uint8Array(Math.max(end - start, 0));
          for (let read = 0; read < bytes.length;) {
            const { bytesRead } = await file.read(bytes, read, bytes.length - read, start + read);
            if (bytesRead === 0) throw new RangeError("the file ends too early");
            read += bytesRead;
          }
          return bytes.buffer;
        },
      };
      const broken = (cause: unknown): never => {
        throw new SyntaxError(`${path}: ${(cause as Error).message}`, { cause });
      };
      const metadata = await parquetMetadataAsync(buffer).catch(broken);
      let rowStart = 0;
      // By groups, as they were written: a part of one costs as much as all of it.
      for (const { num_rows } of metadata.row_groups) {
        const rowEnd = rowStart + Number(num_rows);
        const options = { file: buffer, metadata, rowStart, rowEnd, utf8: false };
        const read = await parquetReadObjects(options).catch(broken);
        for (const [i, row] of read.entries()) {
          const where = `row ${rowStart + i} of ${path}`;
          yield { row: fieldsOf(row, where), where };
        }
        rowStart = rowEnd;
      }
    } finally {
      await file.close();
    }
  }
}

/**
 * The Parquet files of a split in a folder and the folders in it, or the file itself.
 *
 * @param split what the names begin with, such as `validation`
 * @throws {Deno.errors.NotFound} if there are none.
 */
export async function parquetFiles(path: string, split: string): Promise<string[]> {
  const names = await namesIn(path);
  if (names === undefined) return [path];
  const files: string[] = [];
  for (const name of names) {
    const inside = join(path, name);
    if ((await stat(inside)).isDirectory()) {
      const more = (await namesIn(inside)) ?? [];
      files.push(...more.filter(isOf(split)).map((one) => join(inside, one)));
    } else if (isOf(split)(name)) files.push(inside);
  }
  if (files.length > 0) return files;
  throw new Deno.errors.NotFound(`${path} holds no file ${split}-….parquet, nor do its folders`);
}

const isOf = (split: string) => (name: string): boolean =>
  name.startsWith(split) && name.endsWith(".parquet");

/**
 * The bytes of a picture in a row, as the library `datasets` stores it.
 *
 * @throws {SyntaxError} if it is no picture.
 */
export function pictureOf(
  fields: Fields,
  name: string,
  where: string,
): Uint8Array<ArrayBuffer> | undefined {
  const value = fields[name];
  if (value === undefined || value === null) return undefined;
  const { bytes } = value as { bytes?: unknown };
  if (bytes === null || bytes === undefined) return undefined;
  if (bytes instanceof Uint8Array) return new Uint8Array(bytes);
  throw new SyntaxError(`${where}: ${name} should hold the bytes of a picture`);
}
