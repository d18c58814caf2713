/** Shape arithmetic: element counts, strides, broadcasting, axes. */

/** Sizes of the dimensions, outermost first; `[]` is a scalar. */
export type Shape = readonly number[];

/** Number of elements; 1 for a scalar. */
export function sizeOf(shape: Shape): number {
  let n = 1;
  for (const d of shape) n *= d;
  return n;
}

/** `[2,3]` as text, for messages. */
export function formatShape(shape: Shape): string {
  return `[${shape.join(",")}]`;
}

/** True if both shapes have the same sizes. */
export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((d, i) => d === b[i]);
}

/** Row-major strides in elements. */
export function rowMajor(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let step = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = step;
    step *= shape[i];
  }
  return strides;
}

/**
 * Checks that a shape is a list of non-negative integers.
 *
 * @throws {RangeError} naming what was attempted and the shape.
 */
export function checkShape(shape: Shape, what: string): void {
  for (const d of shape) {
    if (!Number.isInteger(d) || d < 0) {
      throw new RangeError(
        `${what}: shape ${formatShape(shape)} must be non-negative whole numbers`,
      );
    }
  }
}

/**
 * Turns a possibly negative axis into one between 0 and rank - 1.
 *
 * @throws {RangeError} if the axis is out of range.
 */
export function normalizeAxis(axis: number, rank: number, what: string): number {
  const a = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || a < 0 || a >= rank) {
    throw new RangeError(`${what}: axis ${axis} is out of range for a tensor of rank ${rank}`);
  }
  return a;
}

/**
 * Normalises a list of axes; `undefined` means all of them. Sorted, without repeats.
 *
 * @throws {RangeError} if an axis is out of range or named twice.
 */
export function normalizeAxes(
  axes: number | readonly number[] | undefined,
  rank: number,
  what: string,
): number[] {
  if (axes === undefined) return Array.from({ length: rank }, (_, i) => i);
  const list = typeof axes === "number" ? [axes] : axes;
  const out = list.map((a) => normalizeAxis(a, rank, what)).sort((a, b) => a - b);
  if (new Set(out).size !== out.length) {
    throw new RangeError(`${what}: axes [${list}] name one axis twice`);
  }
  return out;
}

/**
 * The shape two shapes broadcast to, by the rules of NumPy (sizes equal, or one of them 1, aligned
 * at the last dimension).
 *
 * @throws {RangeError} with both shapes if they do not fit.
 */
export function broadcastShapes(a: Shape, b: Shape, what: string): number[] {
  const rank = Math.max(a.length, b.length);
  const out = new Array<number>(rank);
  for (let i = 1; i <= rank; i++) {
    const x = i <= a.length ? a[a.length - i] : 1;
    const y = i <= b.length ? b[b.length - i] : 1;
    if (x !== y && x !== 1 && y !== 1) {
      throw new RangeError(
        `${what}: shapes ${formatShape(a)} and ${formatShape(b)} do not broadcast ` +
          `(sizes ${x} and ${y} at dimension -${i})`,
      );
    }
    out[rank - i] = x === 1 ? y : x;
  }
  return out;
}

/**
 * Fills in one `-1` of a reshape.
 *
 * @throws {RangeError} if the element counts differ.
 */
export function resolveReshape(from: Shape, to: Shape): number[] {
  const total = sizeOf(from);
  const unknown = to.indexOf(-1);
  const out = [...to];
  if (unknown >= 0) {
    const known = to.reduce((n, d, i) => i === unknown ? n : n * d, 1);
    out[unknown] = known === 0 ? 0 : total / known;
  }
  checkShape(
    out.map((d) => Number.isInteger(d) ? d : -1),
    `reshape ${formatShape(from)} to ${formatShape(to)}`,
  );
  if (sizeOf(out) !== total) {
    throw new RangeError(
      `reshape ${formatShape(from)} to ${formatShape(to)}: ${total} elements do not make ` +
        `${sizeOf(out)}`,
    );
  }
  return out;
}
