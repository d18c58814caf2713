/**
 * One session for all tests of a file, and the comparison of operations with their reference. The
 * provider can be named by `MOIIE_PROVIDER` ("dawn" or "deno").
 */
import { assert, assertEquals, fail } from "@std/assert";
import {
  add,
  type DType,
  evaluate,
  gradients,
  lab,
  mul,
  Random,
  type Session,
  sum,
  Tensor,
  tensor,
} from "../../src/tensor/mod.ts";
import { type Arr, derivative, sizeOf } from "./reference.ts";

async function open(): Promise<Session | string> {
  const provider = Deno.env.get("MOIIE_PROVIDER") as "dawn" | "deno" | undefined;
  try {
    return await lab({ provider });
  } catch (error) {
    if (provider) throw error; // it was asked for
    return (error as Error).message.split(". ")[0];
  }
}

const opened = await open();
globalThis.addEventListener("unload", () => typeof opened !== "string" && opened.dispose());

/** The session of this file. */
export function session(): Session {
  if (typeof opened === "string") throw new Error(opened);
  return opened;
}

/** Registers a test that needs the device; without one it is skipped with the reason. */
export function test(name: string, fn: () => void | Promise<void>): void {
  const ignore = typeof opened === "string";
  Deno.test({ name: ignore ? `${name} [skipped: ${opened}]` : name, ignore, fn });
}

/** An input of an operation. */
export interface Input {
  readonly shape: readonly number[];
  readonly dtype?: DType;
  /** Values as float32 (or whole) numbers; random normal ones if missing. */
  readonly data?: readonly number[];
  /** No gradient by it is checked. */
  readonly fixed?: boolean;
}

/** Shape and random values. */
export const normal = (...shape: number[]): Input => ({ shape });

/** Random values between two limits. */
export function between(low: number, high: number, ...shape: number[]): Input {
  const random = new Random(5, `${shape} ${low} ${high}`);
  return { shape, data: [...random.uniforms(sizeOf(shape), low, high)] };
}

/** Whole numbers, without a gradient. */
export const whole = (shape: readonly number[], data: readonly number[]): Input => ({
  shape,
  data,
  dtype: "i32",
  fixed: true,
});

/** Truth values, without a gradient. */
export const truth = (shape: readonly number[], data: readonly number[]): Input => ({
  shape,
  data,
  dtype: "bool",
  fixed: true,
});

/** Fails unless the values are as near as float32 lets them be. */
export function assertNear(
  got: ArrayLike<number>,
  want: ArrayLike<number>,
  message: string,
  tolerance = 2e-5,
): void {
  assertEquals(got.length, want.length, `${message}: number of elements`);
  const scale = Math.max(1, ...Array.from(want, (w) => Number.isFinite(w) ? Math.abs(w) : 0));
  for (let i = 0; i < want.length; i++) {
    const near = Object.is(got[i], want[i]) || got[i] === want[i] ||
      Math.abs(got[i] - want[i]) <= tolerance * scale;
    if (!near) {
      fail(`${message}: element ${i} is ${got[i]} instead of ${want[i]} (of ${want.length})`);
    }
  }
}

/** Gradient elements that are compared one by one; larger gradients are compared in part. */
const MOST_ELEMENTS = 48;

/** Options of {@linkcode checkOperation}. */
export interface CheckOptions {
  /** Compare the gradients. Default true. */
  gradient?: boolean;
  /** Difference allowed, relative to the largest value (at least 1). Default 2e-5. */
  tolerance?: number;
  /** Seed of random inputs. */
  seed?: number;
}

/** Compares an operation and its gradients with a reference, on one set of inputs. */
export async function checkOperation(
  name: string,
  inputs: readonly Input[],
  f: (...x: Tensor[]) => Tensor | readonly Tensor[],
  reference: (...x: Arr[]) => Arr | readonly Arr[],
  options: CheckOptions = {},
): Promise<void> {
  const { gradient = true, tolerance = 2e-5, seed = 1 } = options;
  const label = `${name} of ${inputs.map((x) => `[${x.shape}]`).join(", ")}`;
  const random = new Random(seed, label);
  const values = inputs.map((x) => x.data ?? [...random.normals(sizeOf(x.shape))]);
  const arrays = inputs.map((x, i): Arr => ({ shape: x.shape, data: values[i].map(rounded(x)) }));
  const leaves = inputs.map((x, i) => tensor(values[i], { shape: x.shape, dtype: x.dtype }));
  const made = f(...leaves), wanted = reference(...arrays);
  const outputs = made instanceof Tensor ? [made] : made;
  const results = "shape" in wanted ? [wanted] : wanted;
  assertEquals(outputs.length, results.length, `${label}: number of results`);
  outputs.forEach((t, i) => assertEquals([...t.shape], [...results[i].shape], `${label}: shape`));

  const upstream = results.map((r) => [...random.normals(sizeOf(r.shape))]);
  const wrt = leaves.map((_, i) => i).filter((i) => gradient && !inputs[i].fixed);
  let grads: Tensor[] = [];
  if (wrt.length > 0) {
    const parts = outputs.map((t, i) => sum(mul(t, tensor(upstream[i], { shape: t.shape }))));
    grads = gradients(parts.reduce((a, b) => add(a, b)), wrt.map((i) => leaves[i]));
  }
  await evaluate(...outputs, ...grads);
  for (const [i, t] of outputs.entries()) {
    assertNear(await t.data(), results[i].data, `${label}, result ${i}`, tolerance);
  }
  const all = (...x: Arr[]): Arr => {
    const r = reference(...x), list = "shape" in r ? [r] : r;
    return {
      shape: [list.reduce((n, a) => n + a.data.length, 0)],
      data: list.flatMap((a) => a.data),
    };
  };
  for (const [j, i] of wrt.entries()) {
    assertEquals([...grads[j].shape], [...inputs[i].shape], `${label}: gradient ${i}`);
    const got = [...await grads[j].data()];
    const along = (direction: number[]) => derivative(all, arrays, i, direction, upstream.flat());
    // Single elements, and all of them at once along a random direction.
    const some = got.length <= MOST_ELEMENTS
      ? got.map((_, l) => l)
      : Array.from({ length: MOST_ELEMENTS }, () => random.int(got.length));
    const want = some.map((l) => along(got.map((_, m) => m === l ? 1 : 0)));
    const message = `${label}, gradient by input ${i}`;
    assertNear(some.map((l) => got[l]), want, `${message} at [${some}]`, 2 * tolerance);
    if (some.length < got.length) {
      const direction = [...random.normals(got.length, 0, 1 / Math.sqrt(got.length))];
      const slope = got.reduce((s, g, l) => s + g * direction[l], 0);
      assertNear([slope], [along(direction)], `${message} along a direction`, 2 * tolerance);
    }
  }
  for (const t of [...leaves, ...outputs, ...grads]) t.dispose();
}

/** The value that the device gets. */
function rounded({ dtype }: Input): (v: number) => number {
  return dtype === "bool" ? (v) => v === 0 ? 0 : 1 : dtype ? (v) => v : Math.fround;
}

/** Runs an asynchronous function that must fail, and returns the error. */
export async function failure(fn: () => unknown): Promise<Error> {
  try {
    await fn();
  } catch (error) {
    assert(error instanceof Error);
    return error;
  }
  return fail("nothing was thrown");
}
