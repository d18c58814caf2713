/** Tables in text: TSV and CSV, with fields in quotes. */

import { createReadStream } from "node:fs";
import { missing } from "./rows.ts";

/**
 * The records of a table, read piece by piece. A field in quotes may hold separators, line breaks
 * and doubled quotes, as pandas and Excel write them.
 *
 * @param separator a tab or a comma
 * @throws {Deno.errors.NotFound} if there is no such file.
 * @throws {SyntaxError} if the file ends inside of quotes.
 */
export async function* records(path: string, separator: string): AsyncGenerator<string[]> {
  let text = "";
  const decoder = new TextDecoder();
  const stream = createReadStream(path, { highWaterMark: 1 << 20 });
  try {
    for await (const piece of stream) {
      text += decoder.decode(piece as Uint8Array, { stream: true });
      let at = 0;
      for (;;) {
        const found = record(text, at, separator, false);
        if (!found) break;
        yield found.fields;
        at = found.end;
      }
      text = text.slice(at);
    }
  } catch (cause) {
    missing(path)(cause);
  }
  for (let at = 0; at < text.length;) {
    const found = record(text, at, separator, true);
    if (!found) throw new SyntaxError(`${path} ends inside of quotes`);
    yield found.fields;
    at = found.end;
  }
}

/** The record that begins at a place; undefined if its end is not there yet. */
function record(text: string, start: number, separator: string, last: boolean) {
  const fields: string[] = [];
  for (let at = start;;) {
    let field = "", end = at;
    if (text[at] === '"') {
      for (let from = at + 1;;) {
        const quote = text.indexOf('"', from);
        if (quote < 0 || (quote + 1 === text.length && !last)) return undefined;
        field += text.slice(from, quote);
        end = quote + 1;
        if (text[end] !== '"') break;
        field += '"';
        from = end + 1;
      }
    }
    const rest = endOfField(text, end, separator);
    if (rest === text.length && !last) return undefined;
    fields.push(field + text.slice(end, rest));
    if (text[rest] === separator) {
      at = rest + 1;
      continue;
    }
    fields[fields.length - 1] = fields[fields.length - 1].replace(/\r$/, "");
    return { fields, end: Math.min(rest + 1, text.length) };
  }
}

function endOfField(text: string, from: number, separator: string): number {
  const line = text.indexOf("\n", from), end = line < 0 ? text.length : line;
  const next = text.indexOf(separator, from);
  return next < 0 ? end : Math.min(next, end);
}

/**
 * The rows of a table under the names of its first record; empty lines are left out.
 *
 * @throws {SyntaxError} if a row has more fields than there are names; see {@linkcode records}.
 */
export async function* table(
  path: string,
  separator: string,
): AsyncGenerator<{ row: Record<string, string>; where: string }> {
  let names: string[] | undefined, number = 0;
  for await (const fields of records(path, separator)) {
    if (fields.length === 1 && fields[0].trim() === "") continue;
    if (!names) {
      names = fields.map((name) => name.replace(/^\ufeff/, "").trim());
      continue;
    }
    const where = `row ${number++} of ${path}`;
    if (fields.length > names.length) {
      throw new SyntaxError(`${where} has ${fields.length} fields under ${names.length} names`);
    }
    yield {
      row: Object.fromEntries(fields.map((field, i) => [names![i], field])),
      where,
    };
  }
}

/** A table as text: fields with separators, quotes or line breaks stand in quotes, as pandas writes it. */
export function delimitedText(
  rows: readonly (readonly (string | number)[])[],
  separator: string,
): string {
  const field = (value: string | number): string => {
    const text = String(value);
    const plain = !text.includes(separator) && !/["\r\n]/.test(text);
    return plain ? text : `"${text.replaceAll('"', '""')}"`;
  };
  return rows.map((row) => `${row.map(field).join(separator)}\n`).join("");
}
