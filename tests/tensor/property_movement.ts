/** Operations of random graphs that move elements: index arithmetic. */
import * as t from "../../src/tensor/mod.ts";
import type { Draft, Family } from "./property_draft.ts";
import * as ref from "./reference.ts";
import { type Arr, at, build } from "./reference.ts";

/** Elements with one coordinate changed. */
const along = (x: Arr, axis: number, size: number, from: (i: number) => number): Arr =>
  build(
    x.shape.map((d, i) => i === axis ? size : d),
    (c) => at(x, c.map((v, i) => i === axis ? from(v) : v)),
  );

type Movement = (
  d: Draft,
  shape: readonly number[],
  axis: number,
) => [name: string, device: (x: t.Tensor) => t.Tensor, reference: (x: Arr) => Arr];

/** Movements of tensors of at least one dimension. */
const MOVEMENTS: Movement[] = [
  ({ random }, shape) => {
    const axes = random.shuffle(shape.map((_, j) => j));
    return [`permute ${axes}`, (x) => t.permute(x, axes), (x) => ref.permute(x, axes)];
  },
  ({ random }, shape) => {
    const size = ref.sizeOf(shape);
    const divisors = Array.from({ length: size }, (_, i) => i + 1).filter((i) => size % i === 0);
    const n = size === 0 ? 3 : random.pick(divisors), rest = size / n;
    const to = random.pick([[n, rest], [rest, 1, n], [size], [1, n, rest, 1]]);
    return [`reshape ${to}`, (x) => t.reshape(x, to), (x) => ref.reshape(x, to)];
  },
  ({ random }, shape, axis) => {
    const size = shape[axis], start = random.int(size + 1), step = 1 + random.int(3);
    const end = start + random.int(size - start + 1), count = Math.ceil((end - start) / step);
    const ranges = shape.map((_, j) =>
      j === axis ? { start: start < size ? start - size : start, end, step } : undefined
    );
    return [
      `slice ${start}:${end}:${step} along ${axis}`,
      (x) => t.slice(x, ...ranges),
      (x) => along(x, axis, count, (i) => start + step * i),
    ];
  },
  ({ random }, shape, axis) => {
    const before = random.int(3), after = random.int(3), value = random.pick([0, 0, 0.5]);
    const pads = (n: number) => shape.map((_, j) => j === axis ? n : 0);
    return [
      `pad ${before} ${after} with ${value} along ${axis}`,
      (x) => t.pad(x, pads(before), pads(after), value),
      (x) =>
        build(shape.map((v, j) => j === axis ? before + v + after : v), (c) => {
          const from = c[axis] - before, outside = from < 0 || from >= shape[axis];
          return outside ? value : at(x, c.map((v, j) => j === axis ? from : v));
        }),
    ];
  },
  ({ random }, shape) => {
    const axes = shape.map((_, j) => j).filter(() => random.bool());
    return [
      `flip ${axes}`,
      (x) => t.flip(x, axes),
      (x) => axes.reduce((y, a) => along(y, a, shape[a], (i) => shape[a] - 1 - i), x),
    ];
  },
  ({ random }, shape, axis) => {
    const lead = random.bool() ? [1 + random.int(3)] : [], copies = 2 + random.int(2);
    const to = [...lead, ...shape.map((v, j) => j === axis && v === 1 ? copies : v)];
    return [`expand ${to}`, (x) => t.expand(x, to), (x) => ref.expand(x, to)];
  },
  ({ random }, shape) => {
    const counts = shape.map(() => random.pick([1, 1, 2, 3]));
    return [
      `repeat ${counts}`,
      (x) => t.repeat(x, counts),
      (x) => counts.reduce((y, n, a) => along(y, a, n * shape[a], (i) => i % shape[a]), x),
    ];
  },
  ({ random }, shape, axis) => {
    const n = random.int(4);
    return [
      `repeatInterleave ${n} along ${axis}`,
      (x) => t.repeatInterleave(x, n, axis),
      (x) => along(x, axis, n * shape[axis], (i) => Math.floor(i / n)),
    ];
  },
  ({ random }, shape, axis) => {
    const by = random.int(9) - 4, n = shape[axis];
    return [
      `roll ${by} along ${axis}`,
      (x) => t.roll(x, by, axis),
      (x) => along(x, axis, n, (i) => (((i - by) % n) + n) % n),
    ];
  },
  ({ random }, shape, axis) => {
    const parts = 1 + random.int(3), each = Math.max(1, Math.ceil(shape[axis] / parts));
    const which = random.int(Math.max(1, Math.ceil(shape[axis] / each)));
    return [
      `chunk ${which} of ${parts} along ${axis}`,
      (x) => t.chunk(x, parts, axis)[which],
      (x) => along(x, axis, Math.min(each, shape[axis] - which * each), (i) => which * each + i),
    ];
  },
  ({ random }, shape, axis) => {
    const cut = random.int(shape[axis] + 1);
    return [
      `split behind ${cut} along ${axis}`,
      (x) => t.split(x, [cut, shape[axis] - cut], axis)[1],
      (x) => along(x, axis, shape[axis] - cut, (i) => cut + i),
    ];
  },
  (_, shape, axis) => [
    `unsqueeze ${axis} of -1`,
    (x) => t.unsqueeze(t.unsqueeze(x, -1), axis),
    (x) => ref.reshape(x, [...shape.slice(0, axis), 1, ...shape.slice(axis), 1]),
  ],
  (_, shape, axis) => [
    `flattenFrom ${axis}`,
    (x) => t.flattenFrom(x, axis),
    (x) => ref.reshape(x, [...shape.slice(0, axis), ref.sizeOf(shape.slice(axis))]),
  ],
];

export const moved: Family = (d) => {
  const { random } = d;
  const dtype = random.pick(["f32", "f32", "f32", "i32", "bool"] as const), from = d.pick(dtype, 1);
  const shape = d.shapeOf(from), axis = random.int(shape.length);
  const movements = dtype === "bool" ? MOVEMENTS.filter((_, i) => i !== 3) : MOVEMENTS;
  const [name, device, reference] = random.pick(movements)(d, shape, axis);
  if (dtype === "i32" && name.includes("0.5")) return false;
  return d.add({ name, from: [from], dtype, device, reference });
};

/** Taking one element of an axis out of it. */
export const unbound: Family = (d) => {
  const from = d.pick("f32", 1), shape = d.shapeOf(from), axis = d.random.int(shape.length);
  if (shape[axis] === 0) return false;
  const i = d.random.int(shape[axis]), rest = shape.filter((_, j) => j !== axis);
  return d.add({
    name: `unbind ${i} of ${axis}`,
    from: [from],
    device: (x) => t.unbind(x, axis)[i],
    reference: (x) => ref.reshape(along(x, axis, 1, () => i), rest),
  });
};

export const triangle: Family = (d) => {
  const from = d.pick("f32", 2), diagonal = d.random.int(5) - 2, lower = d.random.bool();
  return d.add({
    name: `${lower ? "tril" : "triu"} ${diagonal}`,
    from: [from],
    device: (x) => lower ? t.tril(x, diagonal) : t.triu(x, diagonal),
    reference: (x) =>
      build(x.shape, (c) => {
        const right = c[c.length - 1] - c[c.length - 2];
        return (lower ? right <= diagonal : right >= diagonal) ? at(x, c) : 0;
      }),
  });
};

export const joined: Family = (d) => {
  const { random } = d, dtype = random.pick(["f32", "f32", "i32"] as const);
  const first = d.pick(dtype, 1), shape = d.shapeOf(first), axis = random.int(shape.length);
  if (random.bool(0.3)) {
    const device = (...x: t.Tensor[]) => t.stack(x, axis);
    const from = [first, d.like(shape, dtype)];
    const reference = (...x: Arr[]) =>
      build(
        [...shape.slice(0, axis), x.length, ...shape.slice(axis)],
        (c) => at(x[c[axis]], c.filter((_, i) => i !== axis)),
      );
    return d.add({ name: `stack ${axis}`, from, dtype, device, reference });
  }
  // Up to 8 parts: more than one kernel can bind.
  const count = random.pick([1, 1, 2, 3, 7]);
  const others = Array.from(
    { length: count },
    () => d.like(shape.map((v, i) => i === axis ? random.int(4) : v), dtype),
  );
  return d.add({
    name: `cat ${axis}`,
    from: random.shuffle([first, ...others]),
    dtype,
    device: (...x) => t.cat(x, axis),
    reference: (...x) => {
      const places = x.flatMap((part, k) =>
        Array.from({ length: part.shape[axis] }, (_, i) => [k, i])
      );
      return build(shape.map((v, i) => i === axis ? places.length : v), (c) => {
        const [k, i] = places[c[axis]];
        return at(x[k], c.map((v, j) => j === axis ? i : v));
      });
    },
  });
};

/** Flat tensors one after the other, each at a multiple of 64 elements. */
export const packed: Family = (d) => {
  const from = [d.pick(), d.operand(d.shape())];
  return d.add({
    name: "pack",
    from,
    device: (...x) => t.pack(x),
    reference: (...x) => {
      const data = x.flatMap(({ data }) => {
        const whole = Math.ceil(data.length / 64) * 64;
        return [...data, ...new Array<number>(whole - data.length).fill(0)];
      });
      return { shape: [data.length], data };
    },
  });
};
