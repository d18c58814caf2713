/** Running sums and products along an axis. */
import { add, cast, iota, lessEqual, mul, where } from "./elementwise.ts";
import type { Tensor } from "./graph.ts";
import { expand, narrow, pad, permute, reshape, unsqueeze } from "./movement.ts";
import { prod, sum } from "./reduce.ts";
import { normalizeAxis } from "./shape.ts";

/** Longest run that is summed anew for each of its elements; longer ones are cut into such runs. */
const RUN = 64;

/** Joins two partial results, and joins all elements of an axis. */
interface Joining {
  name: string;
  two: (a: Tensor, b: Tensor) => Tensor;
  all: (x: Tensor, options: { axes: number }) => Tensor;
  /** What changes nothing when it is joined. */
  neutral: number;
}

const SUM: Joining = { name: "cumsum", two: add, all: sum, neutral: 0 };
const PRODUCT: Joining = { name: "cumprod", two: mul, all: prod, neutral: 1 };

/**
 * Running sum along an axis: element i is the sum of elements 0 to i.
 *
 * @throws {TypeError} if `x` is bool.
 */
export function cumsum(x: Tensor, axis = -1): Tensor {
  return along(SUM, x, axis);
}

/**
 * Running product along an axis: element i is the product of elements 0 to i.
 *
 * @throws {TypeError} if `x` is bool.
 */
export function cumprod(x: Tensor, axis = -1): Tensor {
  return along(PRODUCT, x, axis);
}

/** Brings the axis to the end and back; f16 is joined in f32, as by all reductions. */
function along(joining: Joining, x: Tensor, axis: number): Tensor {
  if (x.dtype === "f16") return cast(along(joining, cast(x, "f32"), axis), "f16");
  const a = normalizeAxis(axis, x.rank, joining.name);
  const axes = x.shape.map((_, i) => i).filter((i) => i !== a);
  const back = x.shape.map((_, i) => i === a ? x.rank - 1 : axes.indexOf(i));
  return permute(running(joining, permute(x, [...axes, a])), back);
}

/** Running join of the last axis, in two levels if it is long. */
function running(joining: Joining, x: Tensor): Tensor {
  const n = x.shape[x.rank - 1], lead = x.shape.slice(0, -1);
  if (n <= RUN) return joining.all(prefixes(joining, x), { axes: -1 });
  const runs = Math.ceil(n / RUN), none = lead.map(() => 0);
  const whole = pad(x, [...none, 0], [...none, runs * RUN - n], joining.neutral);
  const inner = running(joining, reshape(whole, [...lead, runs, RUN]));
  // What comes before a run: the ends of the runs before it, joined.
  const ends = reshape(narrow(inner, -1, RUN - 1, 1), [...lead, runs]);
  const totals = running(joining, narrow(ends, -1, 0, runs - 1));
  const before = pad(totals, [...none, 1], [...none, 0], joining.neutral);
  const joined = reshape(joining.two(unsqueeze(before, -1), inner), [...lead, runs * RUN]);
  return narrow(joined, -1, 0, n);
}

/** For every element the elements up to it: `[..., n]` as `[..., n, n]`. Never in memory. */
function prefixes(joining: Joining, x: Tensor): Tensor {
  const n = x.shape[x.rank - 1], square = [...x.shape, n];
  const upTo = lessEqual(iota([n, n], 1), iota([n, n], 0));
  return where(expand(upTo, square), expand(unsqueeze(x, -2), square), joining.neutral);
}
