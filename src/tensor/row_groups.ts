/**
 * Steps that work row by row on the same rows become one kernel: the two reductions and the quotient
 * of a layer norm, a softmax with what it is computed from, and their gradients. What a step makes of
 * a row reaches the next one in registers, or stays with the invocation that wrote it, so no row waits
 * for another one.
 */
import type { Tensor } from "./graph.ts";
import { isInline, isMove, REDUCTIONS } from "./operation_kinds.ts";
import { MOST_READS, type Step, stepReads } from "./schedule.ts";
import { sizeOf } from "./shape.ts";

/** Which rows a group of steps works on, and what becomes of their results. */
export interface RowGroup {
  /** Number of rows. */
  readonly rows: number;
  /** Elements of a row. */
  readonly count: number;
  /**
   * The steps in order: reductions of whole rows, and elementwise ones of a whole result or of one
   * number for each row.
   */
  readonly steps: readonly Step[];
  /** Tensors read that the group does not make itself. */
  readonly reads: readonly Tensor[];
}

/** Fewer rows leave most of a device idle, unless there is little to do anyway. */
const LEAST_ROWS = 16, LITTLE = 8192;

/** How far apart in the order steps may be: moving one further would keep memory from others. */
const FARTHEST = 12;

/** How many rows, and elements of a row. */
type Rows = Pick<RowGroup, "rows" | "count">;

/** Most steps of a group, and of one without a reduction: long kernels take long to compile. */
const MOST_STEPS = 12, MOST_ELEMENTWISE = 3;

/** A step, or several that are to be one. */
interface Unit {
  readonly steps: readonly Step[];
  /** Number of the step in whose place it runs. */
  readonly place: number;
  /** What a reduction among the steps works on. */
  readonly rows: Rows | undefined;
  readonly reads: ReadonlySet<Tensor>;
  readonly writes: Set<Tensor>;
}

/** Joins steps of an ordered schedule into row groups. */
export function groupRows(
  steps: readonly Step[],
  roots: readonly Tensor[],
  isStored: (t: Tensor) => boolean,
): { steps: Step[]; isStored: (t: Tensor) => boolean } {
  const units = new Set<Unit>();
  const maker = new Map<Tensor, Unit>();
  const readers = new Map<Tensor, Set<Unit>>();
  const readersOf = (t: Tensor) => readers.get(t) ?? readers.set(t, new Set()).get(t)!;
  const readingSteps = new Map<Tensor, Step[]>();
  for (const step of steps) {
    for (const t of stepReads(step, isStored)) {
      readingSteps.set(t, [...readingSteps.get(t) ?? [], step]);
    }
  }
  const results = new Set(roots);
  /** True for one number for each row that is not needed outside of the kernel of these steps. */
  const isInner = (t: Tensor, rows: number, inside: readonly Step[]): boolean =>
    t.size === rows && !results.has(t) &&
    (readingSteps.get(t) ?? []).every((step) => inside.includes(step));
  steps.forEach((step, place) => {
    const reads = new Set(stepReads(step, isStored));
    let unit: Unit = { steps: [step], place, rows: rowsOf(step), reads, writes: new Set() };
    for (const t of step.writes) {
      unit.writes.add(t);
      maker.set(t, unit);
    }
    for (const t of reads) readersOf(t).add(unit);
    units.add(unit);
    if (!isReduction(step) && !isInline(step.node.op)) return;
    for (let found = true; found;) {
      // Those that work on rows first, since they say which rows.
      const near = [...new Set([...unit.reads].flatMap((t) => maker.get(t) ?? []))]
        .filter((u) => u !== unit && Math.abs(place - u.place) <= FARTHEST)
        .sort((a, b) => Number(!a.rows) - Number(!b.rows) || b.place - a.place);
      const before = unit;
      found = near.some((u) => {
        const joined = join(u, unit, { maker, readersOf, isStored, isInner });
        if (!joined) return false;
        for (const part of [u, unit]) {
          units.delete(part);
          for (const t of part.writes) maker.set(t, joined);
          for (const t of part.reads) readersOf(t).delete(part);
        }
        for (const t of joined.reads) readersOf(t).add(joined);
        units.add(joined);
        unit = joined;
        return true;
      }) && unit !== before;
    }
  });
  const dropped = new Set<Tensor>();
  const ordered = [...units].sort((a, b) => a.place - b.place).map((unit): Step => {
    if (unit.steps.length === 1) return unit.steps[0];
    const { rows, count } = unit.rows ?? anyRows(unit);
    const last = unit.steps.at(-1)!;
    const writes = [...unit.writes].filter((t) => {
      const inner = isInner(t, rows, unit.steps);
      if (inner) dropped.add(t);
      return !inner;
    });
    const group = { rows, count, steps: unit.steps, reads: [...unit.reads] };
    return { node: last.node, writes, epilogue: last.epilogue, group };
  });
  return { steps: ordered, isStored: (t) => isStored(t) && !dropped.has(t) };
}

/** True for a reduction of the last axes. */
function isReduction({ node: { op, inputs, attributes } }: Step): boolean {
  if (!REDUCTIONS.has(op)) return false;
  const axes = attributes.axes as number[], [x] = inputs;
  return axes.every((a, i) => a === x.rank - axes.length + i);
}

/** Two units as one, the second of which reads what the first makes; undefined if that cannot be. */
function join(
  a: Unit,
  b: Unit,
  { maker, readersOf, isStored, isInner }: {
    maker: ReadonlyMap<Tensor, Unit>;
    readersOf: (t: Tensor) => ReadonlySet<Unit>;
    isStored: (t: Tensor) => boolean;
    isInner: (t: Tensor, rows: number, inside: readonly Step[]) => boolean;
  },
): Unit | undefined {
  const rows = a.rows ?? b.rows ?? anyRows(a);
  if (!rows || rows.count < 2) return undefined;
  if (rows.rows < LEAST_ROWS && rows.rows * rows.count > LITTLE) return undefined;
  const steps = [...a.steps, ...b.steps];
  if (steps.length > (a.rows || b.rows ? MOST_STEPS : MOST_ELEMENTWISE)) return undefined;
  if (!steps.every((step) => fits(step, rows))) return undefined;
  const writes = new Set([...a.writes, ...b.writes]);
  const reads = new Set([...a.reads, ...b.reads].filter((t) => !writes.has(t)));
  const kept = [...writes].filter((t) => !isInner(t, rows.rows, steps));
  if (reads.size + kept.length > MOST_READS + 1) return undefined;
  // Either the second moves to the place of the first, or the other way round.
  const early = [...b.reads].every((t) => a.writes.has(t) || (maker.get(t)?.place ?? -1) < a.place);
  const late = [...a.writes].every((t) =>
    [...readersOf(t)].every((u) => u === a || u === b || u.place > b.place)
  );
  if (!early && !late) return undefined;
  if (!b.steps.every((step) => isAligned(step, writes, rows, isStored))) return undefined;
  const place = early ? a.place : b.place;
  return { steps, place, rows: a.rows ?? b.rows, reads, writes };
}

/** Rows for elementwise steps alone, which could do with any. */
function anyRows({ steps: [{ writes: [{ shape, size }] }] }: Unit): Rows {
  const count = shape.at(-1) ?? 1;
  return { rows: count === 0 ? 0 : size / count, count };
}

/** The rows that a reduction works on. */
function rowsOf(step: Step): Rows | undefined {
  if (!isReduction(step)) return undefined;
  const rows = step.node.outputs[0].size;
  return { rows, count: rows === 0 ? 0 : step.node.inputs[0].size / rows };
}

/** True if a step makes whole rows, or numbers of rows, of such rows. */
function fits(step: Step, { rows, count }: Rows): boolean {
  const own = rowsOf(step);
  if (own) return own.rows === rows && own.count === count;
  const { size } = step.writes[0];
  return isInline(step.node.op) && (size === rows * count || size === rows);
}

/**
 * Where a value is taken from: the element that is worked on, the number of its row, any element of
 * its row, or anywhere.
 */
type From = "element" | "row" | "within" | "anywhere";

/** True if a step reads of what the unit makes only what is at hand when it works on a row. */
function isAligned(
  step: Step,
  made: ReadonlySet<Tensor>,
  { rows, count }: Rows,
  isStored: (t: Tensor) => boolean,
): boolean {
  const source = step.node.outputs[0];
  const seen = new Set<string>();
  const visit = (t: Tensor, from: From, top: boolean): boolean => {
    if (!top && t === source) return from === "row";
    if (!top && made.has(t)) {
      if (t.dtype === "f16") return false; // in a register it would not be rounded
      return t.size === rows ? from !== "anywhere" : from === "element";
    }
    if (!top && isStored(t)) return true;
    const key = `${t.id}${from}`;
    if (seen.has(key)) return true;
    seen.add(key);
    return t.node.inputs.every((x, i) => visit(x, follow(t, i, from, rows, count), false));
  };
  if (!isReduction(step)) {
    return visit(step.writes[0], step.writes[0].size === rows ? "row" : "element", true);
  }
  return visit(step.node.inputs[0], "element", false) &&
    (!step.epilogue || visit(step.epilogue, "row", true));
}

/** Where operand `i` of `t` is taken from if `t` is taken from `from`. */
function follow(t: Tensor, i: number, from: From, rows: number, count: number): From {
  const { op, inputs, attributes } = t.node, x = inputs[i];
  if (from === "anywhere") return from;
  switch (op) {
    case "reshape":
      return from;
    case "expand": {
      if (x.size === t.size) return from;
      // One number for each row, repeated along the row?
      const lead = t.shape.findIndex((_, d) => sizeOf(t.shape.slice(0, d)) === rows);
      const repeated = from !== "row" && x.size === rows && lead >= 0 &&
        x.shape.slice(0, lead).every((d, j) => d === t.shape[j]);
      return repeated ? "row" : "anywhere";
    }
    case "take_along": {
      const alongRow = from === "row" && attributes.axis === x.rank - 1 &&
        x.shape.at(-1) === count && x.size === rows * count;
      return i === 1 ? from : alongRow ? "within" : "anywhere";
    }
    case "class_loss":
      return i > 0 ? from : from === "row" && x.size === rows * count ? "within" : "anywhere";
    default:
      return isMove(op) ? "anywhere" : from;
  }
}
