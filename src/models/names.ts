/** Options by name. */
import { unknownName } from "../tensor/mod.ts";

/** Names of the fields of `LvlmOptions`. */
export const MODEL_OPTIONS = [
  "ffn",
  "placement",
  "routing",
  "visionBoundary",
  "vision",
  "language",
] as const;

/** @throws {RangeError} if an option is not among the known ones; the nearest is offered. */
export function checkNames(what: string, given: object, known: readonly string[]): void {
  for (const name of Object.keys(given)) {
    if (!known.includes(name)) throw unknownName(what, name, known);
  }
}
