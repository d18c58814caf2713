/**
 * Answers on the disk: a line of JSON for the run, then one for each answer.
 *
 * @module
 */

import { open, readFile, rename, stat, truncate } from "node:fs/promises";

const FORMAT = "moiie-lab predictions 1";

/** An answer as it is kept. */
export interface KeptAnswer {
  /** Id of the question. */
  readonly id: string;
  /** What was asked. */
  readonly prompt: string;
  /** What the model said. */
  readonly prediction: string;
}

/** What the answers are of. */
export interface PredictionsHead {
  /** Name of the benchmark. */
  readonly benchmark: string;
  /** Name of what answered. */
  readonly model: string;
}

/** A file of answers that grows under another name until it is complete. */
export class PredictionsFile implements AsyncDisposable {
  /** Answers that earlier runs left, by question. */
  readonly kept: ReadonlyMap<string, KeptAnswer>;
  /** Whether an earlier run was completed. */
  readonly complete: boolean;
  /** Where it lies. */
  readonly path: string;
  #file: Awaited<ReturnType<typeof open>> | undefined;

  private constructor(
    path: string,
    kept: ReadonlyMap<string, KeptAnswer>,
    complete: boolean,
    file?: Awaited<ReturnType<typeof open>>,
  ) {
    this.path = path;
    this.kept = kept;
    this.complete = complete;
    this.#file = file;
  }

  /**
   * Opens or begins a file. A line that a crash cut off is dropped.
   *
   * @throws {RangeError} if it holds answers of another benchmark or model.
   * @throws {SyntaxError} if it is something else, or broken in the middle.
   */
  static async open(path: string, head: PredictionsHead): Promise<PredictionsFile> {
    const exists = async (file: string) => (await stat(file).catch(() => undefined)) !== undefined;
    if (await exists(path)) {
      return new PredictionsFile(path, (await readAnswers(path, head)).answers, true);
    }
    const part = `${path}.part`, begun = await exists(part);
    const { answers, end } = begun ? await readAnswers(part, head) : { answers: new Map(), end: 0 };
    if (begun) await truncate(part, end);
    const file = await open(part, "a");
    if (end === 0) await file.write(`${JSON.stringify({ format: FORMAT, ...head })}\n`);
    return new PredictionsFile(path, answers, false, file);
  }

  /** Adds an answer. */
  async add(answer: KeptAnswer): Promise<void> {
    await this.#file?.write(`${JSON.stringify(answer)}\n`);
  }

  /** Gives the file its name: all questions are answered. */
  async finish(): Promise<void> {
    if (!this.#file) return;
    await this.#file.sync();
    await this.#file.close();
    this.#file = undefined;
    await rename(`${this.path}.part`, this.path);
  }

  /** Closes the file; what was answered stays for the next run. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
  }
}

/**
 * An answer from a file, or a new one that goes into it.
 *
 * @throws {RangeError} if the file has an answer to another prompt, or is complete without this one.
 */
export async function keptOrNew(
  { id, prompt }: Omit<KeptAnswer, "prediction">,
  answer: () => Promise<string>,
  file: PredictionsFile | undefined,
): Promise<string> {
  const kept = file?.kept.get(id);
  if (kept && kept.prompt !== prompt) {
    throw new RangeError(
      `${file!.path} has an answer to ${id}, but to another prompt: ` +
        `${JSON.stringify(kept.prompt)}; take another file`,
    );
  }
  if (kept) return kept.prediction;
  if (file?.complete) {
    throw new RangeError(`${file.path} is complete, but lacks ${id}; take another file`);
  }
  const prediction = await answer();
  await file?.add({ id, prompt, prediction });
  return prediction;
}

/** The answers of a file, and where its last whole line ends. */
async function readAnswers(path: string, head: PredictionsHead) {
  const answers = new Map<string, KeptAnswer>(), bytes = await readFile(path);
  // A line without its end is what a crash left.
  const end = bytes.lastIndexOf(10) + 1;
  const lines = new TextDecoder().decode(bytes.subarray(0, end)).split("\n").slice(0, -1);
  for (const [i, line] of lines.entries()) {
    const value = parsed(line, `line ${i + 1} of ${path}`);
    if (i === 0) checkHead(value, head, path);
    else answers.set(String(value.id), value as unknown as KeptAnswer);
  }
  return { answers, end };
}

function parsed(line: string, where: string): Record<string, unknown> {
  try {
    const value = JSON.parse(line);
    if (value === null || typeof value !== "object") throw new SyntaxError("no object");
    return value;
  } catch (cause) {
    throw new SyntaxError(`${where} is no answer: ${(cause as Error).message}`, { cause });
  }
}

function checkHead(value: Record<string, unknown>, head: PredictionsHead, path: string): void {
  if (value.format !== FORMAT) throw new SyntaxError(`${path} does not begin with "${FORMAT}"`);
  for (const name of ["benchmark", "model"] as const) {
    if (value[name] === head[name]) continue;
    throw new RangeError(
      `${path} holds answers with ${name} "${value[name]}", not "${head[name]}"; take another file`,
    );
  }
}
