/**
 * Gradients against differences of the function itself, both in float32 on the device: nothing but the
 * operation says what its gradient is. Five-point differences allow steps so long that rounding does
 * not drown them.
 */
import * as t from "../../src/tensor/mod.ts";
import { topological } from "../../src/tensor/grad.ts";
import type { Input } from "./harness.ts";
import { sizeOf } from "./reference.ts";

/** A function and where to differentiate it. */
export interface Check {
  readonly inputs: readonly Input[];
  readonly f: (...x: t.Tensor[]) => Made | Promise<Made>;
  /** Step of the differences, in standard deviations of the direction. Default 1/64. */
  readonly step?: number;
  /** Difference allowed, relative to the terms of the directional derivative. Default 1e-4. */
  readonly tolerance?: number;
}

type Made = t.Tensor | readonly t.Tensor[];

/** A function with inputs. */
export const check = (f: Check["f"], ...inputs: Input[]): Check => ({ f, inputs });

/** Shuffled numbers at least `gap` apart, none within half of it around 0. */
export function apart(gap: number, ...shape: number[]): Input {
  const n = sizeOf(shape), random = new t.Random(n, `apart ${shape}`);
  const data = Array.from(
    { length: n },
    (_, i) => Math.fround((i - Math.floor(n / 2) + 0.5) * gap),
  );
  return { shape, data: random.shuffle(data) };
}

/** What came of a check. */
export interface Slopes {
  readonly name: string;
  /** The directional derivative by differences, and by the gradient. */
  readonly wanted: number;
  readonly got: number;
  /** Largest difference allowed. */
  readonly limit: number;
  /** Operations that the gradient went through. */
  readonly operations: ReadonlySet<string>;
}

/** Where the function is evaluated, in steps, and the weights of the derivative. */
const POINTS = [1, -1, 2, -2], WEIGHTS = [8 / 12, -8 / 12, -1 / 12, 1 / 12];

const list = (made: Made): readonly t.Tensor[] => made instanceof t.Tensor ? [made] : made;

/** Directional derivatives of several functions, computed together. */
export async function slopes(checks: readonly (readonly [string, Check])[]): Promise<Slopes[]> {
  const roots: t.Tensor[] = [], leaves: t.Tensor[] = [];
  const prepared = [];
  for (const [name, { inputs, f, step = 1 / 64, tolerance = 1e-4 }] of checks) {
    const random = new t.Random(3, name);
    const values = inputs.map((x) => x.data ?? [...random.normals(sizeOf(x.shape))]);
    const directions = inputs.map((x, i) =>
      x.fixed ? undefined : values[i].map(() => random.normal())
    );
    const at = async (by: number) => {
      const x = inputs.map(({ shape, dtype }, i) => {
        const data = values[i].map((v, j) => v + (directions[i]?.[j] ?? 0) * by * step);
        return t.tensor(data, { shape, dtype });
      });
      leaves.push(...x);
      return { x, y: list(await f(...x)) };
    };
    const { x, y } = await at(0);
    const upstream = y.map((r) => random.normals(r.size));
    const wrt = x.filter((_, i) => directions[i]);
    const loss = y.map((r, i) => t.sum(t.mul(r, t.tensor(upstream[i], { shape: r.shape }))))
      .reduce((a, b) => t.add(a, b));
    const operations = new Set(passed([loss], wrt));
    const grads = t.gradients(loss, wrt), points: (readonly t.Tensor[])[] = [];
    for (const by of POINTS) points.push((await at(by)).y);
    roots.push(...grads, ...points.flat());
    prepared.push({
      name,
      grads,
      points,
      upstream,
      directions: directions.flatMap((d) => d ? [d] : []),
      step,
      tolerance,
      operations,
    });
  }
  await t.evaluate(...roots);
  const found: Slopes[] = [];
  for (const p of prepared) {
    let wanted = 0, got = 0, size = 0;
    for (const [k, results] of p.points.entries()) {
      for (const [i, r] of results.entries()) {
        (await r.data()).forEach((v, j) => wanted += WEIGHTS[k] * v * p.upstream[i][j] / p.step);
      }
    }
    for (const [i, g] of p.grads.entries()) {
      (await g.data()).forEach((v, j) => {
        got += v * p.directions[i][j];
        size += (v * p.directions[i][j]) ** 2;
      });
    }
    const limit = p.tolerance * Math.max(1, Math.sqrt(size));
    found.push({ name: p.name, wanted, got, limit, operations: p.operations });
  }
  for (const x of [...roots, ...leaves]) x.dispose();
  return found;
}

/** Operations between some results and what they are differentiated by. */
function* passed(roots: readonly t.Tensor[], wrt: readonly t.Tensor[]): Generator<string> {
  const active = new Set(wrt);
  for (const x of topological(roots)) {
    if (x.node.op === "stop_gradient" || !x.node.inputs.some((y) => active.has(y))) continue;
    active.add(x);
    yield x.node.op;
  }
}
