/** How far apart two texts are. */

/** Insertions, deletions and substitutions between two texts. */
export function editDistance(a: string, b: string): number {
  const from = [...a], to = [...b];
  let row = Array.from({ length: to.length + 1 }, (_, j) => j);
  for (const [i, character] of from.entries()) {
    const next = [i + 1];
    for (let j = 0; j < to.length; j++) {
      next.push(Math.min(row[j + 1] + 1, next[j] + 1, row[j] + (character === to[j] ? 0 : 1)));
    }
    row = next;
  }
  return row[to.length];
}
