/** Tables as aligned text. */

/**
 * A cell as it is shown.
 *
 * @param value a number, which is rounded to four digits, or anything else; nothing for null
 */
export function cellText(value: unknown): string {
  if (value === null || value === undefined) return "";
  if (typeof value !== "number" || Number.isInteger(value)) return String(value);
  return String(Number(value.toPrecision(4)));
}

/** For each column whether it holds numbers only, which are aligned to the right. */
export function numericColumns(
  head: readonly string[],
  rows: readonly (readonly unknown[])[],
): boolean[] {
  const isNumberOrEmpty = (value: unknown): boolean =>
    value === null || value === undefined || value === "" || typeof value === "number";
  return head.map((_, column) =>
    rows.some((row) => typeof row[column] === "number") &&
    rows.every((row) => isNumberOrEmpty(row[column]))
  );
}

/** Head, rule and rows in aligned columns. */
export function textTable(
  head: readonly string[],
  rows: readonly (readonly unknown[])[],
): string {
  const right = numericColumns(head, rows);
  const texts = rows.map((row) => row.map(cellText));
  const widths = head.map((name, column) =>
    Math.max(name.length, ...texts.map((row) => row[column].length))
  );
  const line = (cells: readonly string[]): string =>
    cells.map((cell, column) =>
      right[column] ? cell.padStart(widths[column]) : cell.padEnd(widths[column])
    ).join("  ").trimEnd();
  return [line(head), widths.map((width) => "-".repeat(width)).join("  "), ...texts.map(line)]
    .join("\n");
}
