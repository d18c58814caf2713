/** From a group of steps on the same rows to one kernel. */
import { REDUCE_RULES } from "../../../kernels/reduce.wgsl.ts";
import { rowLoops, type RowReduction } from "../../../kernels/row_loops.wgsl.ts";
import type { Tensor } from "../graph.ts";
import type { RowGroup } from "../row_groups.ts";
import { REDUCTIONS } from "../operation_kinds.ts";
import { readsOf, type Step } from "../schedule.ts";
import { Bindings, type Lowered, type Target } from "./bindings.ts";
import { registerType } from "./elementwise_text.ts";
import { Emitter } from "./emit.ts";
import { launchOf } from "./launch.ts";
import { variantOf } from "./variants.ts";

/** Which loop over the row a step belongs to; a number for each row is made before that loop. */
function loopsOf(group: RowGroup, isStored: (t: Tensor) => boolean): number[] {
  const ready = new Map<Tensor, number>();
  const made = new Set(group.steps.flatMap(({ writes }) => writes));
  const first = (expression: Tensor, top: boolean) =>
    Math.max(
      0,
      ...[...readsOf(expression, (t) => made.has(t) || isStored(t), top)]
        .map((t) => ready.get(t) ?? 0),
    );
  return group.steps.map(({ node, writes, epilogue }) => {
    if (!REDUCTIONS.has(node.op)) {
      const loop = first(writes[0], true);
      ready.set(writes[0], loop);
      return loop;
    }
    const loop = first(node.inputs[0], false);
    for (const t of [...node.outputs, ...writes]) ready.set(t, loop + 1);
    // What else its epilogue reads must be there as soon as the row is reduced.
    if (!epilogue) return loop;
    const source = node.outputs[0];
    const others = [...readsOf(epilogue, (t) => t === source || made.has(t) || isStored(t))]
      .filter((t) => t !== source).map((t) => ready.get(t) ?? 0);
    const late = Math.max(loop, ...others.map((at) => at - 1));
    for (const t of writes) ready.set(t, late + 1);
    return late;
  });
}

/** Statements of a loop that is short. */
const SHORT = 8;

/** Lowers a group of steps. */
export function lowerRows(
  step: Step,
  group: RowGroup,
  isStored: (t: Tensor) => boolean,
  target: Target,
  label: string,
): Lowered {
  const { rows, count, steps } = group;
  const b = new Bindings(target, group.reads, step.writes);
  const registers = new Map<Tensor, string>();
  let computing: Tensor | undefined; // to be computed, though it has a place in memory
  const load = (t: Tensor) => t === computing ? undefined : b.find(t);
  const compute = (t: Tensor, value: (t: Tensor) => string): string => {
    computing = t;
    const v = value(t);
    computing = undefined;
    return v;
  };
  const written = new Set(step.writes);
  const outer = new Emitter(load, registers, "w");
  const loops = loopsOf(group, isStored);
  const text = Array.from({ length: Math.max(...loops) + 2 }, (_, i) => ({
    before: new Emitter(load, registers, `n${i}_`),
    inner: new Emitter(load, registers, `v${i}_`),
    reductions: [] as RowReduction[],
    elements: [] as Tensor[],
  }));

  /** Statements that make a row's number known as a register, and keep it if it has a place. */
  const keep = (t: Tensor, value: string, e: Emitter) => {
    registers.set(t, value);
    if (!written.has(t)) return;
    e.lines.push(`if (lane == 0u) { ${b.name(t)}[o] = ${e.stored(value, t.dtype)}; }`);
  };
  for (const [i, { before, inner, reductions, elements }] of text.entries()) {
    // First the numbers that the loop before this one made, in the order of the steps.
    steps.forEach(({ node, writes: [out, second], epilogue }, s) => {
      const reduction = REDUCTIONS.has(node.op);
      if (reduction ? loops[s] !== i - 1 : loops[s] !== i || out.size !== rows) return;
      if (!reduction) return keep(out, compute(out, (t) => before.at(t, "o")), before);
      const result = before.let(REDUCE_RULES[node.op].result(`acc${s}`));
      if (second) {
        keep(out, before.let(`${result}.x`), before);
        keep(second, before.let(`${result}.y`), before);
        return;
      }
      registers.set(node.outputs[0], result);
      keep(out, epilogue ? compute(out, (t) => before.at(t, "o")) : result, before);
    });
    // Then what is done for every element.
    steps.forEach(({ node, writes: [out] }, s) => {
      if (loops[s] !== i) return;
      const element = (t: Tensor): string => {
        const last = t.shape.at(-1)!;
        return last === count
          ? inner.atElement(t, "p", [...outer.coordinates(t.shape.slice(0, -1), "o"), "e"])
          : inner.at(t, "p");
      };
      if (REDUCTIONS.has(node.op)) {
        const [x] = node.inputs;
        reductions.push({
          name: `acc${s}`,
          rule: REDUCE_RULES[node.op],
          type: registerType(x.dtype),
          value: element(x),
        });
      } else if (out.size !== rows) {
        const value = compute(out, element);
        inner.lines.push(`${b.name(out)}[p] = ${inner.stored(value, out.dtype)};`);
        registers.set(out, value);
        elements.push(out);
      }
    });
    for (const t of elements) registers.delete(t); // another element's turn
  }
  const { subgroup = 1, software } = target;
  const variant = variantOf("rows", target);
  // A row that is shorter than a few turns of a subgroup is one invocation's work.
  const exchange = variant === "exchange" && count >= 2 * subgroup;
  const lanes = exchange
    ? subgroup
    : variant === "shared"
    ? Math.min(256, 2 ** Math.ceil(Math.log2(Math.max(1, count / 4))))
    : 1;
  const used = text.slice(0, -1);
  // Long bodies gain nothing from being repeated, and take long to compile.
  const short = used.every(({ inner }) => inner.lines.length <= SHORT);
  const each = software && short && count % (4 * lanes) === 0 ? 4 : 1;
  return b.finish(
    label,
    rowLoops({
      declarations: b.declarations(),
      rows,
      count,
      lanes,
      ...(software && variant !== "shared"
        ? launchOf(rows * lanes, target)
        : { width: variant === "shared" ? 256 : 64, turns: 1 }),
      subgroup: exchange,
      each,
      before: [...outer.lines, ...text[0].before.lines].join("\n"),
      loops: used.map(({ inner, reductions }, i) => ({
        body: inner.lines.join("\n"),
        reductions,
        after: text[i + 1].before.lines.join("\n"),
      })),
    }),
  );
}
