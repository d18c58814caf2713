/** Questions with choices in TSV files with pictures in base64, as VLMEvalKit keeps them. */

import { table } from "./delimited.ts";
import { rotated } from "./choices.ts";
import { letter, oneOf } from "./rows.ts";
import type { BenchmarkRow, ReadOptions } from "./types.ts";

/** Added to the index of a question for each rotation of its choices, as in MMBench. */
export const ROTATION = 1_000_000;

/** What pandas writes for nothing. */
const isNothing = (text: string | undefined): boolean =>
  text === undefined || /^\s*(nan|none)?\s*$/i.test(text);

/**
 * The questions of a file with the columns `index`, `question`, `hint`, `A` to `H`, `answer`,
 * `category`, `image`.
 *
 * @throws {SyntaxError} if a row lacks its question, choices, picture, or answer among the choices.
 */
export async function* choiceRows(
  path: string,
  { circular = false }: ReadOptions = {},
): AsyncGenerator<BenchmarkRow> {
  for await (const { row, where } of table(path, "\t")) {
    const index = Number(row.index);
    if (isNothing(row.index) || !Number.isInteger(index)) {
      throw new SyntaxError(`${where}: index should be a whole number, it is "${row.index}"`);
    }
    if (isNothing(row.question)) throw new SyntaxError(`${where} has no question`);
    // Rotations that the file brings are replaced by those made here.
    if (circular && index >= ROTATION) continue;
    const names = "ABCDEFGH".split("");
    const end = names.findIndex((name) => isNothing(row[name]));
    const choices = names.slice(0, end < 0 ? undefined : end).map((name) => row[name]);
    if (choices.length < 2) throw new SyntaxError(`${where} has ${choices.length} choices`);
    const valid = choices.map((_, i) => letter(i));
    const answer = isNothing(row.answer)
      ? undefined
      : valid.indexOf(oneOf(row.answer.trim(), valid, `${where}: answer`));
    const images = [picture(row.image, where)];
    const meta = {
      index: index % ROTATION,
      ...(isNothing(row.hint) ? {} : { hint: row.hint }),
      ...(isNothing(row.category) ? {} : { category: row.category }),
    };
    for (let by = 0; by < (circular ? choices.length : 1); by++) {
      const place = answer === undefined ? 0 : (answer - by + choices.length) % choices.length;
      yield {
        id: String(index + by * ROTATION),
        images,
        question: row.question,
        choices: rotated(choices, by),
        answers: answer === undefined ? [] : [letter(place)],
        meta,
      };
    }
  }
}

function picture(text: string | undefined, where: string): Uint8Array<ArrayBuffer> {
  if (text === undefined || text.length < 64) {
    throw new SyntaxError(
      `${where}: image should be a picture in base64, it is "${text ?? ""}"; files that name the ` +
        `picture of another row are not read`,
    );
  }
  try {
    return Uint8Array.fromBase64(text.trim());
  } catch (cause) {
    throw new SyntaxError(`${where}: image is not base64: ${(cause as Error).message}`, { cause });
  }
}
