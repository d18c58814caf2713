/** Reading the fields of benchmark files, with errors that name the place. */

import { readdir, readFile } from "node:fs/promises";

/** An object of a file, whose fields are not known yet. */
export type Fields = Readonly<Record<string, unknown>>;

const show = (value: unknown): string => {
  const text = JSON.stringify(value, (_, v) => typeof v === "bigint" ? String(v) : v);
  return text === undefined ? "missing" : text.length > 60 ? `${text.slice(0, 59)}…` : text;
};

/** @throws {SyntaxError} if a value is no object */
export function fieldsOf(value: unknown, where: string): Fields {
  if (value !== null && typeof value === "object" && !Array.isArray(value)) return value as Fields;
  throw new SyntaxError(`${where} should be an object, it is ${show(value)}`);
}

/** A text that has to be there. @throws {SyntaxError} if it is not */
export function textOf(fields: Fields, name: string, where: string): string {
  const value = fields[name];
  if (typeof value === "string") return value;
  throw new SyntaxError(`${where}: ${name} should be a text, it is ${show(value)}`);
}

/** A number or text that names something. @throws {SyntaxError} if it is neither */
export function idOf(fields: Fields, name: string, where: string): string {
  const value = fields[name];
  if (typeof value === "string" && value !== "") return value;
  if (typeof value === "number" || typeof value === "bigint") return String(value);
  throw new SyntaxError(`${where}: ${name} should be a number or a name, it is ${show(value)}`);
}

/** A list of texts. @throws {SyntaxError} if it is something else */
export function textsOf(fields: Fields, name: string, where: string): string[] {
  const value = fields[name];
  if (Array.isArray(value) && value.every((v) => typeof v === "string")) return value;
  throw new SyntaxError(`${where}: ${name} should be a list of texts, it is ${show(value)}`);
}

/** One of several values. @throws {SyntaxError} if it is none of them */
export function oneOf<T extends string>(value: string, valid: readonly T[], where: string): T {
  const found = valid.find((one) => one === value);
  if (found !== undefined) return found;
  throw new SyntaxError(`${where} should be ${valid.map(show).join(" or ")}, it is ${show(value)}`);
}

/** The letter of choice number i. */
export const letter = (i: number): string => String.fromCharCode(65 + i);

/** A whole file of JSON. @throws {Deno.errors.NotFound | SyntaxError} if it is missing or broken */
export async function readJson(path: string): Promise<unknown> {
  const text = await readFile(path, "utf8").catch(missing(path));
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new SyntaxError(`${path} is not JSON: ${(cause as Error).message}`, { cause });
  }
}

/** The names in a folder, sorted; undefined where the path is a file. */
export async function namesIn(path: string): Promise<string[] | undefined> {
  try {
    return (await readdir(path)).sort();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOTDIR") return undefined;
    return missing(path)(cause);
  }
}

/** For `catch`: a missing file as Deno's error. */
export function missing(path: string): (cause: unknown) => never {
  return (cause) => {
    if ((cause as NodeJS.ErrnoException).code !== "ENOENT") throw cause;
    throw new Deno.errors.NotFound(`there is no ${path}`, { cause: cause as Error });
  };
}
