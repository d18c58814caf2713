/**
 * Numbers as figures and tables write them: short enough to read, and to store.
 *
 * @module
 */

/**
 * Rounds a number to some decimals.
 *
 * @param value Any number.
 * @param decimals Decimals kept; 4 by default, more than a picture can show.
 * @returns The rounded number; 0 is never negative.
 */
export function round(value: number, decimals = 4): number {
  return Math.round(value * 10 ** decimals) / 10 ** decimals + 0;
}

/**
 * Rounds to five significant digits; what is not finite is a gap, which JSON writes as `null`.
 *
 * @param value Any number.
 * @returns The rounded number, or `null`.
 */
export function significant(value: number): number | null {
  return Number.isFinite(value) ? Number(value.toPrecision(5)) : null;
}

/**
 * A share in percent.
 *
 * @param share A share, 0 to 1.
 * @returns The percentage with one decimal, without a sign for percent: `"67.5"`.
 */
export function percent(share: number): string {
  return (100 * share).toFixed(1);
}

/**
 * A count with the prefix that leaves one to three digits before the point.
 *
 * @param count A number of parameters, tokens or the like, not negative.
 * @returns Three significant digits and `k`, `M`, `B` or nothing: `"816 k"`, `"5.47 B"`.
 */
export function short(count: number): string {
  const [divisor, unit] = count >= 999.5e6
    ? [1e9, " B"]
    : count >= 999.5e3
    ? [1e6, " M"]
    : count >= 999.5
    ? [1e3, " k"]
    : [1, ""];
  const digits = count / divisor;
  return `${digits >= 100 ? Math.round(digits) : Number(digits.toPrecision(3))}${unit}`;
}

/**
 * A difference with its sign, and a real minus.
 *
 * @param value The difference.
 * @param decimals Decimals written; 1 by default.
 * @returns `"+0.5"`, `"−0.2"`, `"0.0"`.
 */
export function signed(value: number, decimals = 1): string {
  const text = Math.abs(value).toFixed(decimals);
  return Number(text) === 0 ? text : `${value < 0 ? "−" : "+"}${text}`;
}
