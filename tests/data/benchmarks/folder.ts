import { dirname, join } from "node:path";
import type { SchemaElement } from "hyparquet";
import { parquetWriteBuffer } from "hyparquet-writer";
import type { BenchmarkRow, BenchmarkSpec, Prediction } from "../../../src/data/benchmarks/mod.ts";
import type { ReadOptions } from "../../../src/data/benchmarks/mod.ts";

/** Files by their paths: texts, bytes, or whatever is to be written as JSON. */
export type Files = Readonly<Record<string, unknown>>;

/** Runs a test with a folder of files. */
export async function withFolder(
  files: Files,
  test: (folder: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    for (const [path, content] of Object.entries(files)) {
      const file = join(folder, path);
      await Deno.mkdir(dirname(file), { recursive: true });
      if (content instanceof Uint8Array) await Deno.writeFile(file, content);
      else {
        const text = typeof content === "string" ? content : JSON.stringify(content);
        await Deno.writeTextFile(file, text);
      }
    }
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** All questions of a benchmark's files. */
export async function readAll(
  benchmark: BenchmarkSpec,
  path: string,
  options?: ReadOptions,
): Promise<BenchmarkRow[]> {
  return await Array.fromAsync(benchmark.read(path, options));
}

/** Answers to questions in their order. */
export function answers(rows: readonly BenchmarkRow[], ...texts: string[]): Prediction[] {
  if (texts.length !== rows.length) throw new RangeError(`${texts.length} for ${rows.length} rows`);
  return rows.map((row, i) => ({ row, text: texts[i] }));
}

/** The scores of answers by name, rounded to two digits. */
export function scores(
  benchmark: BenchmarkSpec,
  predictions: readonly Prediction[],
): Record<string, number> {
  return Object.fromEntries(
    benchmark.score(predictions).map((
      { metric, value },
    ) => [metric, Math.round(100 * value) / 100]),
  );
}

/** What guessing reaches, by name. */
export function chances(
  benchmark: BenchmarkSpec,
  predictions: readonly Prediction[],
): Record<string, number | undefined> {
  return Object.fromEntries(
    benchmark.score(predictions).map(({ metric, chance }) => [
      metric,
      chance === undefined ? undefined : Math.round(100 * chance) / 100,
    ]),
  );
}

/** Columns of a Parquet file: texts, lists of texts, pictures, or groups of texts and one list. */
export interface Columns {
  texts: Readonly<Record<string, readonly (string | null)[]>>;
  lists?: Readonly<Record<string, readonly (readonly string[])[]>>;
  pictures: Readonly<Record<string, readonly (Uint8Array | null)[]>>;
  groups?: Readonly<Record<string, readonly Readonly<Record<string, string | string[]>>[]>>;
}

/** A Parquet file as the library `datasets` writes it; pictures have bytes and a path. */
export function parquet(
  { texts, lists = {}, pictures, groups = {} }: Columns,
): Uint8Array<ArrayBuffer> {
  const bytes = { type: "BYTE_ARRAY", repetition_type: "OPTIONAL" } as const;
  const text = { ...bytes, converted_type: "UTF8" } as const;
  const group = { repetition_type: "OPTIONAL" } as const;
  const list = (name: string): SchemaElement[] => [
    { name, ...group, num_children: 1, converted_type: "LIST" as const },
    { name: "list", repetition_type: "REPEATED" as const, num_children: 1 },
    { name: "element", ...text },
  ];
  const schema: SchemaElement[] = [
    ...Object.keys(texts).map((name) => ({ name, ...text })),
    ...Object.keys(lists).flatMap(list),
    ...Object.entries(groups).flatMap(([name, [first]]) => [
      { name, ...group, num_children: Object.keys(first).length },
      ...Object.entries(first).flatMap(([part, value]) =>
        Array.isArray(value) ? list(part) : [{ name: part, ...text }]
      ),
    ]),
    ...Object.keys(pictures).flatMap((name) => [
      { name, ...group, num_children: 2 },
      { name: "bytes", ...bytes },
      { name: "path", ...text },
    ]),
  ];
  const columnData = [
    ...Object.entries({ ...texts, ...lists, ...groups }).map(([name, data]) => ({
      name,
      data: [...data],
    })),
    ...Object.entries(pictures).map(([name, data]) => ({
      name,
      data: data.map((bytes) => bytes && { bytes, path: "1.png" }),
    })),
  ];
  const root = { name: "root", num_children: columnData.length };
  return new Uint8Array(
    parquetWriteBuffer({ schema: [root, ...schema], columnData, rowGroupSize: 2 }),
  );
}
