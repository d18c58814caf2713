/** Drawing a graph: what the families of operations draw with. */
import type * as t from "../../src/tensor/mod.ts";
import * as tensor from "../../src/tensor/mod.ts";
import * as ref from "./reference.ts";
import { type Arr, at, build } from "./reference.ts";
import { type Graph, isTame, type Node, type Operation } from "./property_graph.ts";

/** Largest number in a graph: keeps rounding errors of float32 comparable. */
const MOST = 100;

/** How near to a jump or a kink values may come, so that rounding does not carry them over it. */
export const MARGIN = 4e-3;

/** Draws one operation, or gives up (false) if nothing in the graph fits. */
export type Family = (d: Draft) => boolean;

/** An operation, and whether its operands are far enough from where it jumps or bends. */
export interface Draw extends Operation {
  readonly steady?: (...x: Arr[]) => boolean;
}

/** Numbers that are all away from a place. */
export const away = (x: Arr, from = 0, by = MARGIN): boolean =>
  x.data.every((v) => Math.abs(v - from) >= by);

/** A graph in the making. */
export class Draft {
  readonly nodes: Node[] = [];
  /**
   * @param random draws everything
   * @param limit elements of the largest value
   */
  constructor(readonly random: t.Random, readonly limit: number) {}

  value(i: number): Arr {
    return this.nodes[i].value;
  }

  shapeOf(i: number): readonly number[] {
    return this.nodes[i].value.shape;
  }

  /** A size: mostly small, sometimes nothing, sometimes beyond a tile or a subgroup. */
  size(most = 7): number {
    const { random } = this;
    if (random.bool(0.04)) return 0;
    return most >= 7 && random.bool(0.06)
      ? random.pick([8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 66, 130])
      : 1 + random.int(most);
  }

  /** A shape within the limit. */
  shape(rank = this.random.pick([0, 1, 1, 2, 2, 2, 3, 3, 3, 4, 5])): number[] {
    for (;;) {
      const shape = Array.from({ length: rank }, () => this.size(rank > 3 ? 4 : 7));
      if (ref.sizeOf(shape) <= this.limit) return shape;
    }
  }

  /** A new input; normal numbers, small whole numbers or truth values unless given. */
  input(shape: readonly number[], dtype: t.DType = "f32", data?: readonly number[]): number {
    const { random } = this, size = ref.sizeOf(shape);
    const drawn = data ??
      Array.from(
        { length: size },
        () =>
          dtype === "bool"
            ? random.int(2)
            : dtype === "i32"
            ? random.int(9) - 4
            : dtype === "u32"
            ? random.int(9)
            : Math.fround(random.normal()),
      );
    return this.nodes.push({ dtype, value: { shape: [...shape], data: drawn } }) - 1;
  }

  /** Adds an operation if its operands are steady and its result is tame. */
  add({ steady, ...operation }: Draw): boolean {
    const operands = operation.from.map((j) => this.value(j));
    if (steady && !steady(...operands)) return false;
    const value = operation.reference(...operands);
    const most = operation.dtype && operation.dtype !== "f32" ? 1e6 : MOST;
    if (ref.sizeOf(value.shape) > 4 * this.limit || value.shape.length > 6) return false;
    if (!isTame(value, most) || (operation.dtype === "u32" && value.data.some((v) => v < 0))) {
      return false;
    }
    return this.nodes.push({ operation, dtype: operation.dtype ?? "f32", value }) > 0;
  }

  /** A value there is (later ones are likelier), if one of the type fits. */
  find(dtype: t.DType, fits: (shape: readonly number[]) => boolean = () => true): number {
    const all = this.nodes.map((_, i) => i).filter((i) =>
      this.nodes[i].dtype === dtype && fits(this.shapeOf(i))
    );
    if (all.length === 0) return -1;
    return all[Math.max(this.random.int(all.length), this.random.int(all.length))];
  }

  /** A value there is, or a new one. */
  pick(dtype: t.DType = "f32", minRank = 0): number {
    const fits = (s: readonly number[]) => s.length >= minRank;
    const there = this.random.bool(0.9) ? this.find(dtype, fits) : -1;
    if (there >= 0) return there;
    for (;;) {
      const shape = this.shape();
      if (shape.length >= minRank) return this.operand(shape, dtype);
    }
  }

  /** A value of a shape: one there is, or a new one. */
  like(shape: readonly number[], dtype: t.DType = "f32"): number {
    const same = (s: readonly number[]) => s.join() === shape.join();
    const there = this.random.bool(0.3) ? this.find(dtype, same) : -1;
    return there >= 0 ? there : this.operand(shape, dtype);
  }

  /** A new value of a shape, often seen through strides: permuted, cut out, turned, repeated. */
  operand(shape: readonly number[], dtype: t.DType = "f32", data?: readonly number[]): number {
    const { random } = this, rank = shape.length;
    if (data || rank === 0 || random.bool(0.4)) return this.input(shape, dtype, data);
    const axis = random.int(rank);
    const by = (change: (d: number) => number) => shape.map((d, i) => i === axis ? change(d) : d);
    const seen = (base: readonly number[], draw: Omit<Draw, "from" | "dtype">): number => {
      const from = random.bool(0.3) ? this.operand(base, dtype) : this.input(base, dtype);
      const added = this.add({ ...draw, from: [from], dtype });
      return added ? this.nodes.length - 1 : this.input(shape, dtype);
    };
    switch (random.int(5)) {
      case 0: {
        const axes = random.shuffle(shape.map((_, i) => i)), base: number[] = [];
        axes.forEach((a, i) => base[a] = shape[i]);
        return seen(base, {
          name: `permute ${axes}`,
          device: (x) => tensor.permute(x, axes),
          reference: (x) => ref.permute(x, axes),
        });
      }
      case 1: {
        const start = random.int(3), step = 1 + random.int(3), d = shape[axis];
        const end = start + Math.max(0, (d - 1) * step + 1), more = end + random.int(step);
        const ranges = shape.map((_, i) => i === axis ? { start, end, step } : undefined);
        return seen(by(() => more), {
          name: `slice ${start}:${end}:${step} along ${axis}`,
          device: (x) => tensor.slice(x, ...ranges),
          reference: (x) =>
            build(shape, (c) => at(x, c.map((v, i) => i === axis ? start + step * v : v))),
        });
      }
      case 2:
        return seen(shape, {
          name: `flip ${axis}`,
          device: (x) => tensor.flip(x, [axis]),
          reference: (x) =>
            build(shape, (c) => at(x, c.map((v, i) => i === axis ? shape[axis] - 1 - v : v))),
        });
      case 3:
        return seen(by(() => 1), {
          name: `expand to ${shape}`,
          device: (x) => tensor.expand(x, shape),
          reference: (x) => ref.expand(x, shape),
        });
      default: {
        const flat = random.bool()
          ? [ref.sizeOf(shape)]
          : [...shape.slice(0, axis), 1, ...shape.slice(axis)];
        return seen(flat, {
          name: `reshape to ${shape}`,
          device: (x) => tensor.reshape(x, shape),
          reference: (x) => ref.reshape(x, shape),
        });
      }
    }
  }

  /** Runs a family; what it made on the way to giving up goes. */
  try(family: Family): boolean {
    const before = this.nodes.length;
    const done = family(this);
    if (!done) this.nodes.length = before;
    return done;
  }

  /** The graph with given results. */
  graph(results: readonly number[]): Graph {
    return { nodes: this.nodes, results };
  }
}
