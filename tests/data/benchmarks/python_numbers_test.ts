import { assertEquals } from "@std/assert";
import {
  floatText,
  pythonFloat,
  pythonInt,
  roundEven,
  wholePart,
} from "../../../src/data/benchmarks/python_numbers.ts";

/** Texts, and what Python 3 gives for `str(int(x))`, `str(float(x))` and `str(int(float(x)))`. */
const TEXTS: readonly (readonly [string, string | null, string | null, string | null])[] = [
  ["5", "5", "5.0", "5"],
  [" 5 ", "5", "5.0", "5"],
  ["5.0", null, "5.0", "5"],
  ["-0", "0", "-0.0", "0"],
  ["+7", "7", "7.0", "7"],
  ["1_000", "1000", "1000.0", "1000"],
  ["1__0", null, null, null],
  ["_1", null, null, null],
  ["1e3", null, "1000.0", "1000"],
  ["1E-5", null, "1e-05", "0"],
  [".5", null, "0.5", "0"],
  ["5.", null, "5.0", "5"],
  ["-.5e-7", null, "-5e-08", "0"],
  ["inf", null, "inf", null],
  ["-Infinity", null, "-inf", null],
  ["nan", null, "nan", null],
  ["0x10", null, null, null],
  ["", null, null, null],
  ["five", null, null, null],
  ["12 ", "12", "12.0", "12"],
  ["1,000", null, null, null],
  ["1e400", null, "inf", null],
  ["0.1", null, "0.1", "0"],
  ["100000000000000000000", "100000000000000000000", "1e+20", "100000000000000000000"],
  ["123456789.123", null, "123456789.123", "123456789"],
  ["1e16", null, "1e+16", "10000000000000000"],
  ["9999999999999998.0", null, "9999999999999998.0", "9999999999999998"],
  ["0.0001", null, "0.0001", "0"],
  ["0.00001", null, "1e-05", "0"],
  ["3.14159", null, "3.14159", "3"],
];

/** Numbers and digits, and what Python 3 gives for `str(round(x, digits))`. */
const ROUNDED: readonly (readonly [number, number, string])[] = [
  [0.25, 0, "0.0"],
  [0.25, 1, "0.2"],
  [0.25, 2, "0.25"],
  [0.35, 0, "0.0"],
  [0.35, 1, "0.3"],
  [0.35, 2, "0.35"],
  [-0.25, 0, "-0.0"],
  [-0.25, 1, "-0.2"],
  [-0.25, 2, "-0.25"],
  [2.5, 0, "2.0"],
  [2.5, 1, "2.5"],
  [2.5, 2, "2.5"],
  [0.125, 0, "0.0"],
  [0.125, 1, "0.1"],
  [0.125, 2, "0.12"],
  [0.375, 0, "0.0"],
  [0.375, 1, "0.4"],
  [0.375, 2, "0.38"],
  [2.675, 0, "3.0"],
  [2.675, 1, "2.7"],
  [2.675, 2, "2.67"],
  [1.005, 0, "1.0"],
  [1.005, 1, "1.0"],
  [1.005, 2, "1.0"],
  [1000000000000000.0, 0, "1000000000000000.0"],
  [1000000000000000.0, 1, "1000000000000000.0"],
  [1000000000000000.0, 2, "1000000000000000.0"],
  [1e+22, 0, "1e+22"],
  [1e+22, 1, "1e+22"],
  [1e+22, 2, "1e+22"],
  [7.0, 0, "7.0"],
  [7.0, 1, "7.0"],
  [7.0, 2, "7.0"],
  [-0.04, 0, "-0.0"],
  [-0.04, 1, "-0.0"],
  [-0.04, 2, "-0.04"],
  [1234.5678, 0, "1235.0"],
  [1234.5678, 1, "1234.6"],
  [1234.5678, 2, "1234.57"],
  [0.15, 0, "0.0"],
  [0.15, 1, "0.1"],
  [0.15, 2, "0.15"],
  [0.45, 0, "0.0"],
  [0.45, 1, "0.5"],
  [0.45, 2, "0.45"],
  [3.5, 0, "4.0"],
  [3.5, 1, "3.5"],
  [3.5, 2, "3.5"],
];

Deno.test("numbers are read and written as Python does it", () => {
  for (const [text, int, float, whole] of TEXTS) {
    const value = pythonFloat(text);
    assertEquals(pythonInt(text) ?? null, int, text);
    assertEquals(value === undefined ? null : floatText(value), float, text);
    assertEquals(value === undefined ? null : wholePart(value) ?? null, whole, text);
  }
});

Deno.test("roundEven() rounds as Python's round(), ties to the even digit", () => {
  for (const [value, digits, text] of ROUNDED) {
    assertEquals(floatText(roundEven(value, digits)), text, `${value} to ${digits}`);
  }
});
