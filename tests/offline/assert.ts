/**
 * A stand-in for the part of `@std/assert` that the tests use, for machines that reach npm but
 * not JSR. Same names, types and meaning, built on `node:assert`; see `flags.ts` for how it is
 * chosen. It is stricter in one point: {@linkcode assertEquals} tells 0 from -0.
 *
 * @module
 */
import { AssertionError as NodeAssertionError, deepStrictEqual } from "node:assert/strict";

// deno-lint-ignore no-explicit-any
type ErrorClass<E extends Error> = new (...args: any[]) => E;

/** Thrown by every assertion that does not hold. */
export class AssertionError extends Error {
  override name = "AssertionError";
}

/** Throws an error with the caller's own words in front. */
export function fail(message = "failed"): never {
  throw new AssertionError(message);
}

function require(holds: boolean, reason: string, message?: string): void {
  if (!holds) fail(message === undefined ? reason : `${message}: ${reason}`);
}

function show(value: unknown): string {
  return Deno.inspect(value, { depth: 4 });
}

/** Holds when the value is truthy. */
export function assert(value: unknown, message = "expected a truthy value"): asserts value {
  require(Boolean(value), message);
}

/** Holds when both values are deeply equal. */
export function assertEquals<T>(actual: T, expected: T, message?: string): void {
  try {
    deepStrictEqual(actual, expected);
  } catch (error) {
    if (!(error instanceof NodeAssertionError)) throw error;
    require(false, error.message, message);
  }
}

/** Holds when the values differ somewhere. */
export function assertNotEquals<T>(actual: T, expected: T, message?: string): void {
  try {
    deepStrictEqual(actual, expected);
  } catch (error) {
    if (error instanceof NodeAssertionError) return;
    throw error;
  }
  require(false, `expected something other than ${show(actual)}`, message);
}

/** Holds when both are the same value, by `Object.is`. */
export function assertStrictEquals<T>(
  actual: unknown,
  expected: T,
  message?: string,
): asserts actual is T {
  require(Object.is(actual, expected), `${show(actual)} is not ${show(expected)}`, message);
}

/**
 * Holds when two numbers differ by at most `tolerance`; by default by one part in ten million of
 * the expected one.
 */
export function assertAlmostEquals(
  actual: number,
  expected: number,
  tolerance: number = Number.isFinite(expected) ? Math.abs(expected) * 1e-7 : 1e-7,
  message?: string,
): void {
  const difference = Math.abs(actual - expected);
  require(
    Object.is(actual, expected) || difference <= tolerance,
    `${actual} is ${difference} away from ${expected}, more than ${tolerance}`,
    message,
  );
}

/** Holds when `actual > expected`. */
export function assertGreater<T>(actual: T, expected: T, message?: string): void {
  require(actual > expected, `${show(actual)} is not greater than ${show(expected)}`, message);
}

/** Holds when `actual >= expected`. */
export function assertGreaterOrEqual<T>(actual: T, expected: T, message?: string): void {
  require(actual >= expected, `${show(actual)} is less than ${show(expected)}`, message);
}

/** Holds when `actual < expected`. */
export function assertLess<T>(actual: T, expected: T, message?: string): void {
  require(actual < expected, `${show(actual)} is not less than ${show(expected)}`, message);
}

/** Holds when `actual <= expected`. */
export function assertLessOrEqual<T>(actual: T, expected: T, message?: string): void {
  require(actual <= expected, `${show(actual)} is greater than ${show(expected)}`, message);
}

/** Holds when the text contains the other. */
export function assertStringIncludes(actual: string, expected: string, message?: string): void {
  require(actual.includes(expected), `${show(actual)} does not include ${show(expected)}`, message);
}

/** Holds when the text matches the pattern. */
export function assertMatch(actual: string, expected: RegExp, message?: string): void {
  require(expected.test(actual), `${show(actual)} does not match ${expected}`, message);
}

/** Holds when the value is neither null nor undefined. */
export function assertExists<T>(actual: T, message?: string): asserts actual is NonNullable<T> {
  require(actual !== undefined && actual !== null, `expected a value, got ${actual}`, message);
}

/** Holds when the value is an instance of the class. */
export function assertInstanceOf<
  // deno-lint-ignore no-explicit-any
  T extends abstract new (...args: any[]) => any,
>(actual: unknown, expected: T, message?: string): asserts actual is InstanceType<T> {
  require(actual instanceof expected, `${show(actual)} is not a ${expected.name}`, message);
}

function checkError(error: unknown, expected?: unknown, includes?: string, message?: string): void {
  if (typeof expected !== "function") return;
  assertInstanceOf(error, expected as ErrorClass<Error>, message);
  if (includes !== undefined) assertStringIncludes(error.message, includes, message);
}

/** Holds when the function throws; returns what it threw. */
export function assertThrows(fn: () => unknown, message?: string): unknown;
/** Holds when the function throws an error of this class; returns the error. */
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  errorClass: ErrorClass<E>,
  includes?: string,
  message?: string,
): E;
export function assertThrows(
  fn: () => unknown,
  expected?: unknown,
  includes?: string,
  message?: string,
): unknown {
  try {
    fn();
  } catch (error) {
    checkError(error, expected, includes, message);
    return error;
  }
  fail(`expected the function to throw${typeof expected === "string" ? `: ${expected}` : ""}`);
}

/** Holds when the promise rejects; resolves to what it rejected with. */
export function assertRejects(fn: () => PromiseLike<unknown>, message?: string): Promise<unknown>;
/** Holds when the promise rejects with an error of this class; resolves to the error. */
export function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  errorClass: ErrorClass<E>,
  includes?: string,
  message?: string,
): Promise<E>;
export async function assertRejects(
  fn: () => PromiseLike<unknown>,
  expected?: unknown,
  includes?: string,
  message?: string,
): Promise<unknown> {
  // Called outside the `try`: a function that throws instead of rejecting is a failure.
  const promise = fn();
  try {
    await promise;
  } catch (error) {
    checkError(error, expected, includes, message);
    return error;
  }
  fail(`expected the promise to reject${typeof expected === "string" ? `: ${expected}` : ""}`);
}
