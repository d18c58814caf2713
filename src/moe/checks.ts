/** Checks of options. */
import { unknownName } from "../tensor/nearest.ts";

/** @throws {RangeError} if a number is not whole, or too small. */
export function whole(name: string, n: number, least: number): void {
  if (!Number.isInteger(n) || n < least) {
    throw new RangeError(
      `expert table: ${name} = ${n} must be a whole number of at least ${least}`,
    );
  }
}

/** Refuses unknown option names, offering the nearest known one. */
export function checkKeys(what: string, options: object, known: readonly string[]): void {
  for (const key of Object.keys(options)) {
    if (!known.includes(key)) throw unknownName(`${what} option`, key, known);
  }
}
