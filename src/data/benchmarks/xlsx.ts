/** Excel files of one sheet, for servers that take nothing else. */

import { strToU8, zipSync } from "fflate";

/** Most characters of a cell in Excel. */
const LONGEST = 32_767;

const HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n';
const OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006";
const SHEETS = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
const PACKAGE = "http://schemas.openxmlformats.org/package/2006";
const TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml";

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "\r": "&#13;",
};

/** A text in XML, without the characters that XML does not know. */
function escaped(text: string): string {
  // deno-lint-ignore no-control-regex
  const known = text.toWellFormed().replace(/[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/g, "");
  return known.slice(0, LONGEST).toWellFormed().replace(/[&<>"\r]/g, (mark) => ESCAPES[mark]);
}

function cell(value: string | number): string {
  return typeof value === "number"
    ? `<c><v>${value}</v></c>`
    : `<c t="inlineStr"><is><t xml:space="preserve">${escaped(value)}</t></is></c>`;
}

/**
 * An Excel file with a sheet of rows. Texts longer than Excel takes are cut off.
 *
 * Format: ECMA-376 part 1, sections 12.3 (parts) and 18.3.1 (worksheets), with texts in their cells.
 */
export function xlsx(
  rows: readonly (readonly (string | number)[])[],
): Uint8Array<ArrayBuffer> {
  const relation = (target: string, kind: string) =>
    `${HEAD}<Relationships xmlns="${PACKAGE}/relationships"><Relationship Id="rId1" ` +
    `Type="${OFFICE}/relationships/${kind}" Target="${target}"/></Relationships>`;
  const lines = rows.map((row) => `<row>${row.map(cell).join("")}</row>`).join("");
  const parts = {
    "[Content_Types].xml": `${HEAD}<Types xmlns="${PACKAGE}/content-types">` +
      '<Default Extension="rels" ' +
      'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>' +
      '<Default Extension="xml" ContentType="application/xml"/>' +
      `<Override PartName="/xl/workbook.xml" ContentType="${TYPE}.sheet.main+xml"/>` +
      `<Override PartName="/xl/worksheets/sheet1.xml" ContentType="${TYPE}.worksheet+xml"/>` +
      "</Types>",
    "_rels/.rels": relation("xl/workbook.xml", "officeDocument"),
    "xl/workbook.xml": `${HEAD}<workbook xmlns="${SHEETS}" xmlns:r="${OFFICE}/relationships">` +
      '<sheets><sheet name="Sheet1" sheetId="1" r:id="rId1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": relation("worksheets/sheet1.xml", "worksheet"),
    "xl/worksheets/sheet1.xml":
      `${HEAD}<worksheet xmlns="${SHEETS}"><sheetData>${lines}</sheetData></worksheet>`,
  };
  const files = Object.entries(parts).map(([path, text]) => [path, strToU8(text)]);
  // Always the same day, the first that the format knows: the same rows make the same file.
  return zipSync(Object.fromEntries(files), { mtime: new Date(1980, 0, 1) });
}
