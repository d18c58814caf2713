/** Numbers of the digits 0 to 9 as Python reads and writes them, for metrics that compare their texts. */

const FLOAT = /^[+-]?(\d+(_\d+)*\.?(\d+(_\d+)*)?|\.\d+(_\d+)*)(e[+-]?\d+(_\d+)*)?$/i;

/** `float(text)` of Python, infinite ones and those that are none among them; undefined if it throws. */
export function pythonFloat(text: string): number | undefined {
  const plain = text.trim();
  if (FLOAT.test(plain)) return Number(plain.replaceAll("_", ""));
  const [, sign, name] = /^([+-]?)(inf|infinity|nan)$/i.exec(plain) ?? [];
  if (name === undefined) return undefined;
  if (/nan/i.test(name)) return NaN;
  return sign === "-" ? -Infinity : Infinity;
}

/** `str(int(text))` of Python; undefined if it throws. */
export function pythonInt(text: string): string | undefined {
  const plain = text.trim();
  return /^[+-]?\d+(_\d+)*$/.test(plain)
    ? String(BigInt(plain.replaceAll("_", "").replace(/^\+/, "")))
    : undefined;
}

/** `str(int(value))` of Python: what is behind the point is cut off; undefined if it throws. */
export function wholePart(value: number): string | undefined {
  return Number.isFinite(value) ? String(BigInt(Math.trunc(value))) : undefined;
}

/** `str(value)` of Python for a float: `5.0`, `1e-05`. */
export function floatText(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
  const sign = value < 0 || Object.is(value, -0) ? "-" : "", size = Math.abs(value);
  if (size === 0 || (size >= 1e-4 && size < 1e16)) {
    const text = String(size);
    return sign + (text.includes(".") ? text : `${text}.0`);
  }
  const [mantissa, exponent] = size.toExponential().split("e");
  return `${sign}${mantissa}e${exponent[0]}${exponent.slice(1).padStart(2, "0")}`;
}

/** `round(value, digits)` of Python, ties to the even digit. */
export function roundEven(value: number, digits: number): number {
  if (!Number.isFinite(value) || Math.abs(value) >= 1e15) return value;
  // All digits of a double are known: a tie is one exactly.
  const [whole, rest] = Math.abs(value).toFixed(100).split(".");
  const kept = whole + rest.slice(0, digits), isTie = /^50*$/.test(rest.slice(digits));
  if (!isTie || Number(kept.at(-1)) % 2 === 1) return Number(value.toFixed(digits));
  return Number(`${value < 0 ? "-" : ""}${whole}.${rest.slice(0, digits)}`);
}
