/**
 * Spelling help for error messages: the valid name closest to a wrong one.
 *
 * @module
 */

/** Damerau-Levenshtein distance (optimal string alignment): edits and swaps of neighbours. */
function editDistance(a: string, b: string): number {
  const width = b.length + 1;
  const cost = new Uint16Array((a.length + 1) * width);
  for (let i = 0; i <= a.length; i++) cost[i * width] = i;
  for (let j = 0; j <= b.length; j++) cost[j] = j;
  for (let i = 1; i <= a.length; i++) {
    for (let j = 1; j <= b.length; j++) {
      const here = i * width + j;
      const changed = a[i - 1] === b[j - 1] ? 0 : 1;
      cost[here] = Math.min(
        cost[here - width] + 1,
        cost[here - 1] + 1,
        cost[here - width - 1] + changed,
      );
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost[here] = Math.min(cost[here], cost[here - 2 * width - 2] + 1);
      }
    }
  }
  return cost[cost.length - 1];
}

/**
 * The option closest in spelling to a name, whatever the case of the letters; the first one wins a
 * tie.
 *
 * @param name what was given
 * @param options the valid names
 * @returns the closest option, or undefined when there are no options
 */
export function nearest(name: string, options: Iterable<string>): string | undefined {
  let best: string | undefined, bestDistance = Infinity;
  for (const option of options) {
    const distance = editDistance(name.toLowerCase(), option.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [option, distance];
  }
  return best;
}

/**
 * The error for a name that is not on a list: it names the closest valid one and all the others.
 *
 * @param what what the name stands for, as in "data split"
 * @param name what was given
 * @param options the valid names
 */
export function unknownName(what: string, name: unknown, options: Iterable<string>): RangeError {
  const valid = [...options];
  const guess = nearest(String(name), valid);
  const hint = guess === undefined ? "" : `; did you mean "${guess}"?`;
  return new RangeError(`unknown ${what} "${name}"${hint} (valid: ${valid.join(", ")})`);
}
