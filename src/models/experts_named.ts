/** Experts by name: one, several, or a group. */
import type { PoolTable } from "../moe/mod.ts";
import { unknownName } from "../tensor/mod.ts";

/** Experts by name (`S1`), or a group's (`vision`, `language`, `shared`), or several of these. */
export type ExpertsNamed = string | readonly string[];

/** A whole expert's name without the number of its slice. */
const wholeName = (name: string): string => name.replace(/\.\d+$/, "");

/**
 * Numbers of the experts meant, slices included: of a table with slices, `V1` is all of V1.1, V1.2, …
 *
 * @throws {RangeError} on a name that the table has not; the nearest is offered.
 */
export function expertsNamed(table: PoolTable, which: ExpertsNamed): number[] {
  const found = new Set<number>();
  for (const name of [which].flat() as string[]) {
    const mine = table.experts.flatMap((e, i) =>
      e.name === name || e.group === name || wholeName(e.name) === name ? [i] : []
    );
    if (mine.length === 0) {
      const known = table.experts.flatMap((e) => [e.name, wholeName(e.name), e.group]);
      throw unknownName("expert or group", name, [...new Set(known)]);
    }
    mine.forEach((e) => found.add(e));
  }
  if (found.size === 0) throw new RangeError("no expert is named; name one, or a group");
  return [...found].sort((a, b) => a - b);
}
