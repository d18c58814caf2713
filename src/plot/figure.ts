/**
 * The figure format: a plain plotly.js specification, nothing else.
 *
 * A figure is data, so it can be stored in a run record, compared in a test, sent to a notebook
 * or drawn as a static picture, and nothing in this file knows how any of that is done.
 *
 * @module
 */

/** A value that survives `JSON.stringify`. */
export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json | undefined };

/** One series of a figure: the plotly trace attributes that this library uses, by name. */
export interface Trace {
  /** Kind of trace. Only the kinds that every plotly renderer draws alike are used. */
  readonly type: "scatter" | "bar" | "heatmap" | "box" | "violin";
  /** Name in the legend. */
  readonly name?: string;
  /** Horizontal positions; `null` breaks a line. */
  readonly x?: readonly (number | string | null)[];
  /** Vertical positions; `null` breaks a line. */
  readonly y?: readonly (number | string | null)[];
  /** Any further plotly attribute. */
  readonly [attribute: string]: Json | undefined;
}

/** Title, axes, size and the other plotly layout attributes. */
export interface Layout {
  /** Title, with an optional smaller second line. */
  readonly title?: { readonly text: string; readonly [attribute: string]: Json | undefined };
  /** Width in CSS pixels. */
  readonly width?: number;
  /** Height in CSS pixels. */
  readonly height?: number;
  /** Any further plotly attribute (`xaxis`, `yaxis2`, `shapes`, …). */
  readonly [attribute: string]: Json | undefined;
}

/** A figure: series and layout, as plotly.js takes them. */
export interface Figure {
  /** The series, drawn in order. */
  readonly data: readonly Trace[];
  /** Title, axes and size. */
  readonly layout: Layout;
}

/**
 * Tells a figure from any other value.
 *
 * @param value Anything.
 * @returns Whether `value` has a list of typed traces and a layout.
 */
export function isFigure(value: unknown): value is Figure {
  if (typeof value !== "object" || value === null) return false;
  const { data, layout } = value as Partial<Figure>;
  return Array.isArray(data) && typeof layout === "object" && layout !== null &&
    data.every((trace) => typeof trace === "object" && typeof trace?.type === "string");
}

/**
 * Title of a figure without markup, for alt texts and consoles.
 *
 * @param figure A figure.
 * @returns The title on one line, or `"Figure"` when it has none.
 */
export function figureTitle(figure: Figure): string {
  return plainText(figure.layout.title?.text ?? "") || "Figure";
}

/**
 * Describes a figure in words: its title, then one line a series with its count, range and last
 * value. It is what a terminal prints and what a screen reader can use.
 *
 * @param figure A figure.
 * @returns Several lines of text.
 */
export function describeFigure(figure: Figure): string {
  const lines = [figureTitle(figure)];
  for (const trace of figure.data) {
    const values = (trace.y ?? []).filter((y): y is number => typeof y === "number");
    if (!trace.name || values.length === 0) continue;
    const range = `${number(Math.min(...values))} to ${number(Math.max(...values))}`;
    const last = number(values[values.length - 1]);
    const suffix = values.length === 1
      ? number(values[0])
      : `${values.length} points, ${range}, last ${last}`;
    lines.push(`  ${plainText(trace.name)}: ${suffix}`);
  }
  return lines.join("\n");
}

function number(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toPrecision(4);
}

/** Plotly texts may hold `<br>`, `<b>`, `<span>` and the like. */
function plainText(text: string): string {
  return text.replace(/<br\s*\/?>/g, " – ").replace(/<[^>]*>/g, "").trim();
}
