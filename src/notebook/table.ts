/**
 * Tables for notebooks and terminals.
 *
 * @module
 */

import { escapeHtml } from "../study/report.ts";
import type { MimeBundle } from "./jupyter.ts";

/** A table that shows itself in a notebook and prints itself in a terminal. */
export interface Table {
  /** Names of the columns. */
  readonly head: readonly string[];
  /** Cells, row by row, as they are shown. */
  readonly rows: readonly (readonly string[])[];
  /** The table in aligned columns of text. */
  toString(): string;
}

/**
 * Makes a table.
 *
 * @param head Names of the columns.
 * @param rows Cells, row by row. Numbers are rounded to four digits and aligned to the right.
 * @returns A value for `show`.
 * @throws {RangeError} If a row has another number of cells than the head.
 */
export function table(head: readonly string[], rows: readonly (readonly unknown[])[]): Table {
  const odd = rows.findIndex((row) => row.length !== head.length);
  if (odd >= 0) {
    throw new RangeError(
      `Row ${odd} of the table has ${rows[odd].length} cells, but there are ${head.length} ` +
        `columns: ${head.join(", ")}.`,
    );
  }
  const texts = rows.map((row) => row.map(cellText));
  const right = head.map((_, column) =>
    rows.some((row) => typeof row[column] === "number") &&
    rows.every((row) => isNumberOrEmpty(row[column]))
  );
  const toString = (): string => aligned(head, texts, right);
  const bundle = (): MimeBundle => ({
    "text/plain": toString(),
    "text/html": html(head, texts, right),
  });
  return { head, rows: texts, toString, [Symbol.for("Jupyter.display")]: bundle } as Table;
}

function isNumberOrEmpty(value: unknown): boolean {
  return value === null || value === undefined || value === "" || typeof value === "number";
}

function cellText(value: unknown): string {
  if (value === null || value === undefined) return "";
  if (typeof value !== "number" || Number.isInteger(value)) return String(value);
  return String(Number(value.toPrecision(4)));
}

function aligned(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  right: readonly boolean[],
): string {
  const widths = head.map((name, column) =>
    Math.max(name.length, ...rows.map((row) => row[column].length))
  );
  const line = (cells: readonly string[]): string =>
    cells.map((cell, column) =>
      right[column] ? cell.padStart(widths[column]) : cell.padEnd(widths[column])
    ).join("  ").trimEnd();
  return [line(head), widths.map((width) => "-".repeat(width)).join("  "), ...rows.map(line)]
    .join("\n");
}

function html(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  right: readonly boolean[],
): string {
  const style = (column: number): string =>
    ` style="text-align:${right[column] ? "right" : "left"}"`;
  const headCells = head.map((name, column) =>
    `<th scope="col"${style(column)}>${escapeHtml(name)}</th>`
  );
  const body = rows.map((row) =>
    `<tr>${row.map((cell, column) => `<td${style(column)}>${escapeHtml(cell)}</td>`).join("")}</tr>`
  );
  return `<table><thead><tr>${headCells.join("")}</tr></thead><tbody>${
    body.join("")
  }</tbody></table>`;
}
