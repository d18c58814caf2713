/**
 * Tables for notebooks and terminals.
 *
 * @module
 */

import { escapeHtml } from "../study/report.ts";
import { cellText, numericColumns, textTable } from "../tensor/text_table.ts";
import type { MimeBundle } from "./jupyter.ts";

/** A table that shows itself in a notebook and prints itself in a terminal. */
export interface Table {
  /** Names of the columns. */
  readonly head: readonly string[];
  /** Cells, row by row, as they are shown. */
  readonly rows: readonly (readonly string[])[];
  /** Text below it; none if missing. */
  readonly caption?: string;
  /** The table in aligned columns of text, with its caption. */
  toString(): string;
}

/**
 * Makes a table.
 *
 * @param head Names of the columns.
 * @param rows Cells, row by row. Numbers are rounded to four digits and aligned to the right.
 * @param caption Text below it: what the numbers are, how they were made.
 * @returns A value for `show`.
 * @throws {RangeError} If a row has another number of cells than the head.
 */
export function table(
  head: readonly string[],
  rows: readonly (readonly unknown[])[],
  caption?: string,
): Table {
  const odd = rows.findIndex((row) => row.length !== head.length);
  if (odd >= 0) {
    throw new RangeError(
      `Row ${odd} of the table has ${rows[odd].length} cells, but there are ${head.length} ` +
        `columns: ${head.join(", ")}.`,
    );
  }
  const texts = rows.map((row) => row.map(cellText));
  const toString = (): string => textTable(head, rows) + (caption ? `\n\n${caption}` : "");
  const html = tableHtml(head, rows);
  const bundle = (): MimeBundle => ({
    "text/plain": toString(),
    "text/html": caption
      ? `<div>${html}<p style="font-size:87%">${escapeHtml(caption)}</p></div>`
      : html,
  });
  return { head, rows: texts, caption, toString, [Symbol.for("Jupyter.display")]: bundle } as Table;
}

/**
 * A table as HTML.
 *
 * @param head Names of the columns.
 * @param rows Cells, row by row, as `table()` takes them.
 */
export function tableHtml(
  head: readonly string[],
  rows: readonly (readonly unknown[])[],
): string {
  const right = numericColumns(head, rows);
  const style = (column: number): string =>
    ` style="text-align:${right[column] ? "right" : "left"}"`;
  const headCells = head.map((name, column) =>
    `<th scope="col"${style(column)}>${escapeHtml(name)}</th>`
  );
  const body = rows.map((row) =>
    `<tr>${
      row.map((cell, column) => `<td${style(column)}>${escapeHtml(cellText(cell))}</td>`).join("")
    }</tr>`
  );
  return `<table><thead><tr>${headCells.join("")}</tr></thead><tbody>${
    body.join("")
  }</tbody></table>`;
}
