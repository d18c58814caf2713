/**
 * WGSL for expressions. An {@linkcode Emitter} writes, for one position of one tensor, the
 * statements that compute its value from stored tensors: elementwise operations become arithmetic,
 * movement operations become index arithmetic.
 *
 * Values of f16 tensors are f32 in registers. They are rounded where they are stored and where cast()
 * makes an f16 of another type, nowhere else: fused chains are at least as accurate as PyTorch's,
 * which rounds after every operation, and no intermediate result of a chain can overflow.
 */
import type { DType } from "../dtype.ts";
import type { Tensor } from "../graph.ts";
import type { Shape } from "../shape.ts";
import {
  ELEMENTWISE,
  literal,
  registerType,
  swigluGradientText,
  swigluText,
} from "./elementwise_text.ts";
import { Position } from "./position.ts";

/** Writes statements into one block of a kernel. */
export class Emitter {
  /** Statements written so far. */
  readonly lines: string[] = [];
  readonly #values = new Map<string, string>();
  readonly #lets = new Map<string, string>();
  /** Values that are f16 numbers already, so that rounding them would change nothing. */
  readonly #halves = new Set<string>();

  /**
   * @param load the WGSL that loads an element of a stored tensor, as {@linkcode registerType}, or
   * undefined if the tensor is to be computed
   * @param registers values at hand, valid at the position that is being written only
   * @param prefix of the variables, unique among the blocks of one kernel
   */
  constructor(
    readonly load: (t: Tensor) => ((index: string) => string) | undefined,
    readonly registers: ReadonlyMap<Tensor, string>,
    readonly prefix: string,
  ) {}

  /** Names an expression, once. */
  let(expression: string): string {
    let name = this.#lets.get(expression);
    if (name === undefined) {
      name = `${this.prefix}${this.#lets.size}`;
      this.#lets.set(expression, name);
      this.lines.push(`let ${name} = ${expression};`);
    }
    return name;
  }

  /** A value as it is stored. */
  stored(value: string, dtype: DType): string {
    if (dtype === "f16") return `f16(${this.#half(value)})`;
    return dtype === "bool" ? `select(0u, 1u, ${value})` : value;
  }

  /** A number rounded to f16, still in an f32 register. */
  #half(value: string): string {
    if (this.#halves.has(value)) return value;
    const rounded = this.let(`round_to_half(${value})`);
    this.#halves.add(rounded);
    return rounded;
  }

  /** Coordinates of row-major element `linear` of a shape. */
  coordinates(shape: Shape, linear: string): string[] {
    return new Position(this, shape, linear).coordinates();
  }

  /** The value of `t` at row-major element `linear`. */
  at(t: Tensor, linear: string): string {
    return this.#value(t, new Position(this, t.shape, linear));
  }

  /**
   * The values of `t` at `count` neighbouring elements from `linear` on, a multiple of `count`, as is
   * the last dimension: they differ in the last coordinate only, so the rest is computed once.
   */
  atRun(t: Tensor, linear: string, count: number): string[] {
    const first = new Position(this, t.shape, linear).coordinates();
    const outer = first.slice(0, -1), last = first.at(-1)!;
    return Array.from({ length: count }, (_, i) => {
      if (i === 0) return this.#value(t, new Position(this, t.shape, linear, first));
      const c = this.let(`${last} + ${i}u`);
      const at = last === linear ? c : this.let(`${linear} + ${i}u`);
      return this.#value(t, new Position(this, t.shape, at, [...outer, c]));
    });
  }

  /** The value of `t` at an element of which the number and some of the coordinates are known. */
  atElement(t: Tensor, linear: string, coordinates: readonly (string | undefined)[]): string {
    return this.#value(t, new Position(this, t.shape, linear, coordinates));
  }

  /** The value of `t` at coordinates. */
  atCoordinates(t: Tensor, coordinates: readonly string[]): string {
    return this.#value(t, new Position(this, t.shape, undefined, coordinates));
  }

  #value(t: Tensor, p: Position): string {
    const register = this.registers.get(t);
    if (register !== undefined) return register;
    // Nothing of it is ever used, as in dispatching no rows; its index arithmetic would divide by 0.
    if (t.size === 0) return this.let(literal(0, t.dtype));
    const load = this.load(t);
    if (load !== undefined) {
      const v = this.let(load(t.size === 1 ? "0u" : p.linear()));
      if (t.dtype === "f16") this.#halves.add(v);
      return v;
    }
    const key = `${t.id}@${p.key()}`;
    let v = this.#values.get(key);
    if (v === undefined) {
      v = this.#compute(t, p);
      this.#values.set(key, v);
    }
    return v;
  }

  /** A value at changed coordinates. */
  #move(x: Tensor, change: (i: number) => string): string {
    return this.#value(
      x,
      new Position(this, x.shape, undefined, x.shape.map((d, i) => d === 1 ? "0u" : change(i))),
    );
  }

  #compute(t: Tensor, p: Position): string {
    const { op, inputs, attributes } = t.node;
    const [x] = inputs;
    switch (op) {
      case "const":
        // Named, since WGSL refuses to compile arithmetic on literals that overflows, such as 1/0.
        return this.let(literal(attributes.value as number, t.dtype));
      case "iota":
        return this.let(`i32(${p.coordinate(attributes.axis as number)})`);
      case "cast":
        return this.#cast(this.#value(x, p), x.dtype, t.dtype);
      case "reshape":
        return this.#value(x, p.as(x.shape));
      case "expand":
        return this.#move(x, (i) => p.coordinate(i));
      case "permute": {
        const back: number[] = [];
        (attributes.axes as number[]).forEach((a, i) => back[a] = i);
        return this.#move(x, (i) => p.coordinate(back[i]));
      }
      case "slice": {
        const starts = attributes.starts as number[], steps = attributes.steps as number[];
        const at = x.shape.map((_, i) => {
          const c = t.shape[i] === 1 ? "0u" : p.coordinate(i);
          const scaled = steps[i] === 1 || c === "0u" ? c : `${c} * ${steps[i]}u`;
          return starts[i] === 0
            ? (scaled === c ? c : this.let(scaled))
            : c === "0u"
            ? `${starts[i]}u`
            : this.let(`${scaled} + ${starts[i]}u`);
        });
        return this.atCoordinates(x, at);
      }
      case "flip": {
        const axes = attributes.axes as number[];
        return this.#move(
          x,
          (i) =>
            axes.includes(i)
              ? this.let(`${t.shape[i] - 1}u - ${p.coordinate(i)}`)
              : p.coordinate(i),
        );
      }
      case "pad":
        return this.#pad(t, p);
      case "cat":
        return this.#cat(t, p);
      case "take": {
        const axis = attributes.axis as number, index = inputs[1];
        const c = p.coordinates();
        const i = this.atCoordinates(index, c.slice(axis, axis + index.rank));
        const limited = this.#limit(i, index.dtype, x.shape[axis]);
        return this.atCoordinates(x, [...c.slice(0, axis), limited, ...c.slice(axis + index.rank)]);
      }
      case "take_along": {
        const axis = attributes.axis as number, index = inputs[1];
        const limited = this.#limit(this.#value(index, p), index.dtype, x.shape[axis]);
        return this.atCoordinates(x, p.coordinates().map((c, i) => i === axis ? limited : c));
      }
      case "take_or_zero": {
        const index = inputs[1], c = p.coordinates();
        const i = this.atCoordinates(index, c.slice(0, index.rank));
        const v = this.atCoordinates(x, [
          this.#limit(i, index.dtype, x.shape[0]),
          ...c.slice(index.rank),
        ]);
        const inside = index.dtype === "i32"
          ? `${i} >= 0 && ${i} < ${x.shape[0]}`
          : `${i} < ${x.shape[0]}u`;
        return this.let(`select(${literal(0, t.dtype)}, ${v}, ${inside})`);
      }
      case "swiglu": {
        const c = p.coordinates(), last = c.pop()!;
        const gate = this.atCoordinates(x, [...c, last]);
        const up = this.atCoordinates(x, [...c, this.let(`${last} + ${t.shape.at(-1)}u`)]);
        return this.let(swigluText(gate, up));
      }
      case "swiglu_gradient": {
        const c = p.coordinates(), last = c.pop()!, half = t.shape.at(-1)! / 2;
        const isGate = this.let(`${last} < ${half}u`);
        const first = this.let(`select(${last} - ${half}u, ${last}, ${isGate})`);
        const gate = this.atCoordinates(x, [...c, first]);
        const up = this.atCoordinates(x, [...c, this.let(`${first} + ${half}u`)]);
        const g = this.atCoordinates(inputs[1], [...c, first]);
        const [byGate, byUp] = swigluGradientText(gate, up, g);
        return this.let(`select(${byUp}, ${byGate}, ${isGate})`);
      }
      case "rotate_half": {
        const c = p.coordinates(), last = c.pop()!, half = t.shape.at(-1)! / 2;
        const other = this.let(
          `select(${last} - ${half}u, ${last} + ${half}u, ${last} < ${half}u)`,
        );
        const v = this.atCoordinates(x, [...c, other]);
        return this.let(`select(${v}, -${v}, ${last} < ${half}u)`);
      }
      case "class_loss": {
        const [, index, top, total] = inputs;
        const at = this.#limit(this.#value(index, p), index.dtype, x.shape[1]);
        const v = this.atCoordinates(x, [p.coordinate(0), at]);
        const [a, b] = [top, total].map((part) => this.#value(part, p));
        return this.let(`log(${b}) - (${v} - ${a})`);
      }
      case "dispatch_rows": {
        const [, , item] = inputs;
        const i = this.atCoordinates(item, [p.coordinate(0)]);
        const row = this.let(`u32(max(${i}, 0)) / ${attributes.slots}u`);
        const v = this.atCoordinates(x, [row, p.coordinate(1)]);
        return this.let(`select(${literal(0, t.dtype)}, ${v}, ${i} >= 0)`);
      }
      case "combine_rows":
        return this.#combine(t, p);
      case "top_few":
        return this.#topFew(t, p);
      default: {
        const wgsl = ELEMENTWISE[op];
        if (!wgsl) throw new Error(`no WGSL for operation "${op}" making ${t}`);
        return this.let(wgsl(...inputs.map((a) => this.#value(a, p))));
      }
    }
  }

  #cast(x: string, from: DType, to: DType): string {
    const type = registerType(to);
    if (to === "bool") return this.let(`${x} != ${literal(0, from)}`);
    if (from === "bool") {
      return this.let(`select(${literal(0, to)}, ${literal(1, to)}, ${x})`);
    }
    const v = registerType(from) === type ? x : this.let(`${type}(${x})`);
    return to === "f16" ? this.#half(v) : v;
  }

  /** An index limited to an axis, as u32. */
  #limit(index: string, dtype: DType, size: number): string {
    return this.let(
      dtype === "i32" ? `u32(clamp(${index}, 0, ${size - 1}))` : `min(${index}, ${size - 1}u)`,
    );
  }

  #pad(t: Tensor, p: Position): string {
    const [x] = t.node.inputs;
    const before = t.node.attributes.before as number[];
    const value = literal(t.node.attributes.value as number, t.dtype);
    if (x.size === 0) return value;
    const inside: string[] = [];
    const at = x.shape.map((d, i) => {
      if (d === t.shape[i]) return d === 1 ? "0u" : p.coordinate(i);
      // Before the data the difference wraps to a huge number, so one comparison serves both ends.
      const c = t.shape[i] === 1 ? "0u" : p.coordinate(i);
      const moved = before[i] === 0 ? c : this.let(`${c} - ${before[i]}u`);
      inside.push(`${moved} < ${d}u`);
      return this.let(`min(${moved}, ${d - 1}u)`);
    });
    const v = this.atCoordinates(x, at);
    return this.let(`select(${value}, ${v}, ${inside.join(" && ")})`);
  }

  #cat(t: Tensor, p: Position): string {
    const axis = t.node.attributes.axis as number;
    const c = p.coordinate(axis);
    let start = t.shape[axis];
    let v: string | undefined;
    for (const part of [...t.node.inputs].reverse()) {
      const n = part.shape[axis];
      start -= n;
      if (n === 0) continue;
      const moved = start === 0 ? c : this.let(`${c} - ${start}u`);
      const local = n === 1 ? "0u" : this.let(`min(${moved}, ${n - 1}u)`);
      const here = this.atCoordinates(
        part,
        part.shape.map((d, i) => i === axis ? local : d === 1 ? "0u" : p.coordinate(i)),
      );
      v = v === undefined ? here : this.let(`select(${v}, ${here}, ${c} < ${start + n}u)`);
    }
    return v ?? literal(0, t.dtype);
  }

  /** Which element of a short row is the best one, the second best, and so on; see `topK()`. */
  #topFew(t: Tensor, p: Position): string {
    const { inputs: [x], attributes } = t.node;
    const row = p.coordinates().slice(0, -1), wanted = p.coordinate(t.rank - 1);
    const values = Array.from(
      { length: x.shape.at(-1)! },
      (_, i) => this.atCoordinates(x, [...row, `${i}u`]),
    );
    const better = attributes.largest ? ">" : "<";
    let found = "0";
    values.forEach((v, i) => {
      const before = values.flatMap((other, j) =>
        j === i ? [] : [`select(0u, 1u, ${other} ${better}${j < i ? "=" : ""} ${v})`]
      );
      const rank = before.length === 0 ? "0u" : this.let(before.join(" + "));
      found = this.let(`select(${found}, ${i}, ${rank} == ${wanted})`);
    });
    return found;
  }

  #combine(t: Tensor, p: Position): string {
    const [rows, position, , weights] = t.node.inputs;
    const slots = t.node.attributes.slots as number;
    const terms: string[] = [];
    for (let s = 0; s < slots; s++) {
      const item = this.let(`${p.coordinate(0)} * ${slots}u + ${s}u`);
      const row = this.at(position, item);
      const safe = this.let(`u32(max(${row}, 0))`);
      const v = this.atCoordinates(rows, [safe, p.coordinate(1)]);
      const weighted = weights ? this.let(`${v} * ${this.at(weights, item)}`) : v;
      terms.push(this.let(`select(${literal(0, t.dtype)}, ${weighted}, ${row} >= 0)`));
    }
    return this.let(terms.join(" + "));
  }
}
