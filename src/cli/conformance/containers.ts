/**
 * Safetensors files: valid ones are read exactly, malformed ones are refused.
 *
 * @module
 */
import { parseSafetensors, type Safetensors, toBfloat16 } from "../../models/safetensors.ts";
import { type Case, Skip } from "./case.ts";
import type { Comparison } from "./compare.ts";
import { type FileEntry, type Folder, objectAt } from "./folder.ts";

function outcome(name: string, passed: boolean, message: string): Comparison {
  return { name, passed, allowance: false, message };
}

/** A JSON value as a list of numbers; infinities and large integers are written as text. */
function numbers(value: unknown, where: string): (number | bigint | boolean)[] {
  if (!Array.isArray(value)) throw new SyntaxError(`${where} should be a list`);
  return value.map((v) =>
    v === "inf" ? Infinity : v === "-inf" ? -Infinity : typeof v === "string" ? BigInt(v) : v
  );
}

/** Compares exactly; 0 is not -0. */
function same(name: string, got: ArrayLike<unknown>, want: readonly unknown[]): Comparison {
  const values = Array.from(got, (v, i) => typeof want[i] === "boolean" ? v === 1 : v);
  const at = want.findIndex((w, i) => !Object.is(values[i], w));
  if (values.length === want.length && at < 0) return outcome(name, true, "equal");
  return outcome(
    name,
    false,
    values.length !== want.length
      ? `${values.length} elements instead of ${want.length}`
      : `element ${at}: ${values[at]} instead of ${want[at]}`,
  );
}

/** Bits of float32 numbers rounded to a 16-bit type. */
const BITS: Readonly<Record<string, (x: Float32Array<ArrayBuffer>) => Uint16Array>> = {
  bf16: toBfloat16,
  f16: (x) => new Uint16Array(new Float16Array(x).buffer),
};

/** Compares a file with the JSON file that describes its contents. */
function compareWithJson(data: Safetensors, want: Record<string, unknown>): Comparison[] {
  const comparisons: Comparison[] = [];
  for (const [key, value] of Object.entries(want)) {
    const bits = /^f32_to_(\w+)_bits_of_(.*)$/.exec(key);
    if (key === "note") continue;
    if (key === "metadata") {
      const equal = JSON.stringify(data.metadata) === JSON.stringify(value);
      comparisons.push(outcome(key, equal, equal ? "equal" : JSON.stringify(data.metadata)));
    } else if (key === "as_float32") {
      for (const [name, list] of Object.entries(objectAt(value, key))) {
        const exact = numbers(list, name).map((v) => Math.fround(Number(v)));
        comparisons.push(same(`${name} as float32`, data.float32(name), exact));
      }
    } else if (bits) {
      const convert = BITS[bits[1]];
      if (!convert) throw new Skip(`no conversion to ${bits[1]}`);
      const x = new Float32Array(data.float32(bits[2]));
      comparisons.push(same(key, convert(x), numbers(value, key)));
    } else comparisons.push(same(key, data.tensor(key).data, numbers(value, key)));
  }
  return comparisons;
}

/** Compares a file with what its description says: `name=[values] DTYPE`, several of them. */
function compareWithText(data: Safetensors, description: string): Comparison[] {
  const said = [...description.matchAll(/(\S+)=(\[[^\]]*\]) ([A-Z]+\d+)/g)];
  if (said.length === 0) throw new Skip("nothing says what the file holds");
  return said.map(([, name, list, dtype]) => {
    const found = data.tensor(name);
    if (found.dtype !== dtype) return outcome(name, false, `${found.dtype} instead of ${dtype}`);
    return same(name, found.data, numbers(JSON.parse(list), name));
  });
}

/** The case of one file, or none for a file that only describes another. */
export function containerCases(folder: Folder, file: FileEntry): Case[] {
  if (!file.path.endsWith(".safetensors")) return [];
  const [, group, name] = /^(.*)\/(.*)\.safetensors$/.exec(file.path)!;
  const beside = folder.files.find((f) => f.path === `${group}/${name}_expected.json`);
  const read = () => parseSafetensors(folder.bytes(file.path), file.path);
  if (/^malformed/.test(file.description)) {
    return [{
      group,
      name,
      run: () => {
        try {
          read();
        } catch (error) {
          if (!(error instanceof SyntaxError || error instanceof RangeError)) throw error;
          return [outcome(name, true, `refused: ${error.message}`)];
        }
        return [outcome(name, false, "was read although it is malformed")];
      },
    }];
  }
  return [{
    group,
    name,
    run: () =>
      beside
        ? compareWithJson(read(), objectAt(folder.json(beside.path), beside.path))
        : compareWithText(read(), file.description),
  }];
}
