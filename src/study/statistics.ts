/** The few statistics that reports need. */

/** z of a two-sided 95 % interval. */
const Z = 1.959963984540054;

/**
 * 95 % interval of a proportion (Wilson 1927): sound for few questions and for shares near 0 and 1.
 *
 * @returns lower and upper end; 0 and 1 if nothing was asked
 */
export function wilson(correct: number, n: number): [low: number, high: number] {
  if (n === 0) return [0, 1];
  const p = correct / n, z2 = Z * Z;
  const centre = (p + z2 / (2 * n)) / (1 + z2 / n);
  const half = Z / (1 + z2 / n) * Math.sqrt(p * (1 - p) / n + z2 / (4 * n * n));
  return [Math.max(0, centre - half), Math.min(1, centre + half)];
}
