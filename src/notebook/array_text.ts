/** Nested values as text, long ones in part: only the values at both ends of each dimension. */

/** Values up to which all are written. */
export const MOST_VALUES = 100;
/** Values written at each end of a dimension of a larger tensor. */
const AT_EDGE = 3;

/**
 * Writes values as nested lists with aligned columns, as numerical libraries print them.
 *
 * @param values Values in row-major order.
 * @param shape Sizes.
 * @param cell Writes one value.
 */
export function arrayText(
  values: ArrayLike<number>,
  shape: readonly number[],
  cell: (value: number) => string,
): string {
  const size = shape.reduce((product, n) => product * n, 1);
  // Positions written along each dimension; undefined stands for those left out.
  const shown = shape.map((n): (number | undefined)[] => {
    const all = Array.from({ length: n }, (_, i) => i);
    return size <= MOST_VALUES || n <= 2 * AT_EDGE
      ? all
      : [...all.slice(0, AT_EDGE), undefined, ...all.slice(-AT_EDGE)];
  });
  const strides = shape.map((_, i) => shape.slice(i + 1).reduce((product, n) => product * n, 1));
  const texts: string[] = [];
  const collect = (depth: number, at: number): void => {
    if (depth === shape.length) texts.push(cell(values[at]));
    else {
      for (const i of shown[depth]) {
        if (i !== undefined) collect(depth + 1, at + i * strides[depth]);
      }
    }
  };
  collect(0, 0);
  const width = Math.max(0, ...texts.map((text) => text.length));

  let next = 0;
  const write = (depth: number): string => {
    if (depth === shape.length) return texts[next++].padStart(width);
    const parts = shown[depth].map((i) => i === undefined ? "…" : write(depth + 1));
    const inner = shape.length - depth - 1; // dimensions inside this one
    const separator = inner === 0 ? ", " : `,${"\n".repeat(inner)}${" ".repeat(depth + 1)}`;
    return `[${parts.join(separator)}]`;
  };
  return write(0);
}
