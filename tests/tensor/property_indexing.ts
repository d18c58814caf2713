/** Operations of random graphs at positions given by other tensors, and groups of rows. */
import * as t from "../../src/tensor/mod.ts";
import type { Draft, Family } from "./property_draft.ts";
import * as ref from "./reference.ts";
import { type Arr, at, build } from "./reference.ts";
import { addedAlong, taken, takenAlong } from "./reference_functions.ts";

/** An index tensor with values from 0 to size - 1, or from -1 to size with `outside`. */
function indices(
  d: Draft,
  shape: readonly number[],
  size: number,
  outside = false,
): number {
  const draw = () => outside ? d.random.int(size + 2) - 1 : d.random.int(size);
  return d.input(shape, "i32", Array.from({ length: ref.sizeOf(shape) }, draw));
}

export const taking: Family = (d) => {
  const from = d.pick("f32", 1), shape = d.shapeOf(from), axis = d.random.int(shape.length);
  if (shape[axis] === 0) return false;
  const to = d.random.pick([[], [3], [5], [2, 2], [0]]);
  return d.add({
    name: `take ${axis}`,
    from: [from, indices(d, to, shape[axis])],
    device: (x, i) => t.take(x, i, axis),
    reference: (x, i) => taken(x, i, axis),
  });
};

export const takingAlong: Family = (d) => {
  const from = d.pick("f32", 1), shape = d.shapeOf(from), axis = d.random.int(shape.length);
  if (shape[axis] === 0) return false;
  const count = d.random.pick([1, 1, 3, shape[axis] + 1]);
  const to = shape.map((v, i) => i === axis ? count : d.random.bool(0.2) ? Math.ceil(v / 2) : v);
  return d.add({
    name: `takeAlong ${axis}`,
    from: [from, indices(d, to, shape[axis])],
    device: (x, i) => t.takeAlong(x, i, axis),
    reference: (x, i) => takenAlong(x, i, axis),
  });
};

export const takingOrZero: Family = (d) => {
  const from = d.pick("f32", 1), [rows] = d.shapeOf(from);
  if (rows === 0) return false;
  return d.add({
    name: "takeRowsOrZero",
    from: [from, indices(d, [d.size()], rows, true)],
    device: t.takeRowsOrZero,
    reference: (x, index) =>
      build([index.data.length, ...x.shape.slice(1)], ([i, ...c]) => {
        const row = index.data[i];
        return row < 0 || row >= rows ? 0 : at(x, [row, ...c]);
      }),
  });
};

export const adding: Family = (d) => {
  const from = d.pick("f32", 1), shape = d.shapeOf(from);
  if (d.random.bool()) {
    const rows = 1 + d.random.int(9);
    return d.add({
      name: `indexAdd to ${rows}`,
      from: [from, indices(d, [shape[0]], rows, true)],
      device: (x, i) => t.indexAdd(x, i, rows),
      reference: (x, i) => addedAlong(x, build(x.shape, ([r]) => i.data[r]), rows, 0),
    });
  }
  const axis = d.random.int(shape.length), size = 1 + d.random.int(6);
  return d.add({
    name: `scatterAdd ${axis} to ${size}`,
    from: [from, indices(d, shape, size, true)],
    device: (x, i) => t.scatterAdd(x, i, size, axis),
    reference: (x, i) => addedAlong(x, i, size, axis),
  });
};

export const scattered: Family = (d) => {
  const { random } = d, from = d.pick("f32", 1), shape = d.shapeOf(from);
  const axis = random.int(shape.length), size = shape[axis];
  const count = random.int(size + 1), to = shape.map((v, i) => i === axis ? count : v);
  // Every place along the axis at most once.
  const rows = new Map<string, number[]>();
  const index = build(to, (c) => {
    const row = c.filter((_, i) => i !== axis).join();
    if (!rows.has(row)) rows.set(row, random.shuffle(Array.from({ length: size }, (_, i) => i)));
    return rows.get(row)![c[axis]];
  });
  return d.add({
    name: `scatter ${axis}`,
    from: [from, d.input(to, "i32", index.data), d.operand(to)],
    device: (x, i, y) => t.scatter(x, i, y, axis),
    reference: (x, i, y) => {
      const data = [...x.data];
      for (const c of ref.coordinates(to)) {
        data[ref.position(shape, c.map((v, j) => j === axis ? at(i, c) : v))] = at(y, c);
      }
      return { shape, data };
    },
  });
};

export const maskedScattered: Family = (d) => {
  const from = d.pick(), shape = d.shapeOf(from);
  const mask = d.like(shape, "bool"), count = d.value(mask).data.filter((v) => v).length;
  if (count === 0) return false;
  return d.add({
    name: "maskedScatter",
    from: [from, mask, d.operand([count + d.random.int(3)])],
    device: t.maskedScatter,
    reference: (x, m, y) => {
      let next = 0;
      return { shape, data: x.data.map((v, i) => m.data[i] ? y.data[next++] : v) };
    },
  });
};

export const hot: Family = (d) => {
  const classes = 1 + d.random.int(6), shape = d.shape(d.random.int(3));
  return d.add({
    name: `oneHot ${classes}`,
    from: [indices(d, shape, classes, true)],
    device: (i) => t.oneHot(i, classes),
    reference: (i) => build([...shape, classes], (c) => at(i, c.slice(0, -1)) === c.at(-1) ? 1 : 0),
  });
};

/** Rows and the groups they belong to, some to none. */
function routing(d: Draft): { x: number; group: number; count: number; slots: number } {
  const { random } = d, slots = random.pick([1, 1, 2, 3]);
  const found = random.bool(0.6) ? d.find("f32", ([, k, more]) => k > 0 && more === undefined) : -1;
  const x = found >= 0 ? found : d.operand([random.pick([0, 1, 5, 7, 17, 20]), 1 + random.int(9)]);
  const count = 1 + random.int(4), items = d.shapeOf(x)[0] * slots;
  return { x, count, slots, group: indices(d, [items], count, random.bool(0.3)) };
}

/** Sends rows to their groups' matrices and adds up what comes back. */
export const groupedProduct: Family = (d) => {
  const { x, group, count, slots } = routing(d), k = d.shapeOf(x)[1], n = 1 + d.random.int(9);
  const tile = d.random.pick([16, 16, 32]), transposed = d.random.bool();
  return d.add({
    name: `groupedMatmul, ${count} groups, ${slots} slots, tiles of ${tile}${
      transposed ? ", transposed" : ""
    }`,
    from: [x, d.input(transposed ? [count, k, n] : [count, n, k]), group],
    device: (x, w, g) => {
      const map = t.sortByGroup(g, count, tile);
      const rows = t.groupedMatmul(t.dispatchRows(x, map, slots), w, map, { transposed });
      return t.combineRows(rows, map, slots);
    },
    reference: (x, w, g) =>
      build([x.shape[0], n], ([token, j]) => {
        let sum = 0;
        for (let s = 0; s < slots; s++) {
          const e = g.data[token * slots + s];
          if (e < 0 || e >= count) continue;
          for (let l = 0; l < k; l++) {
            sum += at(x, [token, l]) * at(w, transposed ? [e, l, j] : [e, j, l]);
          }
        }
        return sum;
      }),
  });
};

export const groupedOuterProduct: Family = (d) => {
  const { x, group, count, slots } = routing(d), [tokens, n] = d.shapeOf(x);
  const k = 1 + d.random.int(6);
  return d.add({
    name: `groupedOuter, ${count} groups, ${slots} slots`,
    from: [x, d.operand([tokens, k]), group],
    device: (x, y, g) => {
      const map = t.sortByGroup(g, count, 16), to = (z: t.Tensor) => t.dispatchRows(z, map, slots);
      return t.groupedOuter(to(x), to(y), map);
    },
    reference: (x, y, g) => {
      const out = build([count, n, k], () => 0), data = [...out.data];
      g.data.forEach((e, item) => {
        if (e < 0 || e >= count) return;
        const token = Math.floor(item / slots);
        for (const [i, j] of ref.coordinates([n, k])) {
          data[(e * n + i) * k + j] += at(x, [token, i]) * at(y, [token, j]);
        }
      });
      return { shape: out.shape, data };
    },
  });
};

/** Dispatched rows and back without a product in between, and where the items went. */
export const dispatched: Family = (d) => {
  const { x, group, count, slots } = routing(d);
  const sorted = (g: Arr): number[] => {
    const position = g.data.map(() => -1);
    let row = 0;
    for (let e = 0; e < count; e++) {
      g.data.forEach((h, i) => h === e && (position[i] = row++));
      row = Math.ceil(row / 16) * 16;
    }
    return position;
  };
  if (d.random.bool(0.3)) {
    return d.add({
      name: `positions of sortByGroup, ${count} groups`,
      from: [group],
      dtype: "i32",
      device: (g) => t.sortByGroup(g, count, 16).position,
      reference: (g) => ({ shape: g.shape, data: sorted(g) }),
    });
  }
  const items = d.shapeOf(group)[0], bound = items + Math.min(count, items) * 15;
  const rows = Math.max(1, Math.ceil(bound / 16)) * 16;
  return d.add({
    name: `dispatchRows, ${count} groups, ${slots} slots`,
    from: [x, group],
    device: (x, g) => t.dispatchRows(x, t.sortByGroup(g, count, 16), slots),
    reference: (x, g) => {
      const width = x.shape[1], data = new Array<number>(rows * width).fill(0);
      sorted(g).forEach((row, item) => {
        if (row < 0) return;
        for (let j = 0; j < width; j++) {
          data[row * width + j] = at(x, [Math.floor(item / slots), j]);
        }
      });
      return { shape: [rows, width], data };
    },
  });
};
