/**
 * Layout of SVG texts for a document without a layout engine.
 *
 * plotly.js asks the document how large its texts are and where they lie, to keep titles clear of
 * tick labels and to size the margins. This module answers with the widths of the font that the
 * picture will be drawn with and the `transform` attributes on the way to the root.
 *
 * @module
 */

import type { FontMetrics } from "./font_metrics.ts";

/** The part of a DOM element that is read and extended. */
export interface DomElement {
  readonly tagName: string;
  readonly nodeType: number;
  readonly textContent: string | null;
  readonly parentElement: DomElement | null;
  readonly childNodes: Iterable<DomElement>;
  readonly classList: { contains(name: string): boolean };
  readonly style?: {
    readonly fontSize?: string;
    readonly fontWeight?: string;
    readonly textAnchor?: string;
  };
  getAttribute(name: string): string | null;
  querySelectorAll(selector: string): Iterable<DomElement>;
  getBBox(): Box;
  getComputedTextLength(): number;
  getBoundingClientRect(): Box;
}

/** The classes of a window that are extended. */
export interface DomClasses {
  readonly SVGElement: { prototype: DomElement };
  readonly Element: { prototype: DomElement };
}

/** A rectangle with sides along the axes, as browsers describe it. */
export interface Box {
  readonly x: number;
  readonly y: number;
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
  readonly width: number;
  readonly height: number;
}

/** Distance of the lines of a text in font sizes, as plotly sets them. */
const LINE_HEIGHT = 1.3;

/**
 * Gives the SVG texts of a window the places and sizes that they will have in the picture.
 *
 * @param window A window whose elements have no layout.
 * @param fonts Measures of the regular and the bold font.
 */
export function addTextMetrics(window: DomClasses, fonts: readonly FontMetrics[]): void {
  window.SVGElement.prototype.getComputedTextLength = function (): number {
    return textWidth(this, fonts);
  };
  window.SVGElement.prototype.getBBox = function (): Box {
    return isText(this) ? textBox(this, fonts) : groupBox(this, fonts, this);
  };
  const original = window.Element.prototype.getBoundingClientRect;
  window.Element.prototype.getBoundingClientRect = function (): Box {
    if (isText(this)) return transformed(textBox(this, fonts), this, null);
    return /^g$/i.test(this.tagName) ? groupBox(this, fonts, null) : original.call(this);
  };
}

function isText(element: DomElement): boolean {
  return /^(text|tspan)$/i.test(element.tagName);
}

function textWidth(element: DomElement, fonts: readonly FontMetrics[]): number {
  const font = isBold(element) ? fonts[1] : fonts[0];
  let width = 0;
  for (const child of element.childNodes) {
    width += child.nodeType === 3
      ? font.width(child.textContent ?? "", fontSize(element))
      : textWidth(child, fonts);
  }
  return width;
}

function fontSize(element: DomElement | null): number {
  return element
    ? parseFloat(element.style?.fontSize ?? "") || fontSize(element.parentElement)
    : 12;
}

function isBold(element: DomElement | null): boolean {
  const weight = element?.style?.fontWeight;
  return weight ? weight === "bold" || Number(weight) >= 600 : !!element && isText(element) &&
    isBold(element.parentElement);
}

/** Box of a text in its own coordinates: the widest line, and one line height for each line. */
function textBox(element: DomElement, fonts: readonly FontMetrics[]): Box {
  const lines = [...element.querySelectorAll("tspan.line")];
  const rows = lines.length > 0 ? lines : [element];
  const width = Math.max(...rows.map((row) => textWidth(row, fonts)));
  const size = fontSize(element);
  const anchor = element.style?.textAnchor || element.getAttribute("text-anchor");
  const shift = anchor === "middle" ? width / 2 : anchor === "end" ? width : 0;
  return boxAt(
    coordinate(element, "x") - shift,
    coordinate(element, "y") - size,
    width,
    size * (1.2 + LINE_HEIGHT * (rows.length - 1)),
  );
}

function coordinate(element: DomElement, name: "x" | "y"): number {
  return parseFloat(element.getAttribute(name) ?? "") || 0;
}

/** Box around the texts of a group, in the coordinates of `within` (the root for `null`). */
function groupBox(
  group: DomElement,
  fonts: readonly FontMetrics[],
  within: DomElement | null,
): Box {
  const boxes = [...group.querySelectorAll("text")].map((text) =>
    transformed(textBox(text, fonts), text, within)
  );
  return boxes.length > 0 ? boxAround(boxes.flatMap(corners)) : boxAt(0, 0, 0, 0);
}

type Point = readonly [x: number, y: number];

/** Box of `box` after the transforms of `element` and its parents, up to `within`. */
function transformed(box: Box, element: DomElement, within: DomElement | null): Box {
  let points = corners(box);
  for (let node: DomElement | null = element; node && node !== within; node = node.parentElement) {
    // The rightmost operation of a transform list acts first.
    for (const [, name, values] of operations(node).reverse()) {
      const numbers = values.split(/[\s,]+/).filter(Boolean).map(Number);
      points = points.map((point) => apply(name, numbers, point));
    }
  }
  return boxAround(points);
}

function operations(element: DomElement): RegExpMatchArray[] {
  const list = element.getAttribute?.("transform") ?? "";
  return [...list.matchAll(/(translate|rotate|scale)\(([^)]*)\)/g)];
}

function apply(name: string, values: readonly number[], [x, y]: Point): Point {
  const [a = 0, b = 0, c = 0] = values;
  if (name === "translate") return [x + a, y + b];
  if (name === "scale") return [x * a, y * (values[1] ?? a)];
  const [cos, sin] = [Math.cos((a * Math.PI) / 180), Math.sin((a * Math.PI) / 180)];
  return [b + cos * (x - b) - sin * (y - c), c + sin * (x - b) + cos * (y - c)];
}

function corners({ left, right, top, bottom }: Box): Point[] {
  return [[left, top], [right, top], [left, bottom], [right, bottom]];
}

function boxAround(points: readonly Point[]): Box {
  const xs = points.map(([x]) => x);
  const ys = points.map(([, y]) => y);
  const [left, top] = [Math.min(...xs), Math.min(...ys)];
  return boxAt(left, top, Math.max(...xs) - left, Math.max(...ys) - top);
}

function boxAt(x: number, y: number, width: number, height: number): Box {
  return { x, y, left: x, top: y, right: x + width, bottom: y + height, width, height };
}
