/**
 * Notebook files (nbformat 4): reading, judging and tidying them.
 *
 * @module
 */

/** One output of a code cell. */
export interface Output {
  /** `display_data`, `execute_result`, `stream` or `error`. */
  output_type: string;
  /** Representations by MIME type; texts may be split into lines. */
  data?: Record<string, unknown>;
  metadata?: Record<string, unknown>;
  execution_count?: number | null;
  ename?: string;
  evalue?: string;
  traceback?: string[];
  name?: string;
  text?: string | string[];
}

/** One cell. */
export interface Cell {
  cell_type: "code" | "markdown" | "raw";
  id?: string;
  metadata: Record<string, unknown>;
  source: string | string[];
  outputs?: Output[];
  execution_count?: number | null;
}

/** A notebook. */
export interface Notebook {
  cells: Cell[];
  metadata: Record<string, unknown>;
  nbformat: number;
  nbformat_minor: number;
}

/**
 * Reads a notebook.
 *
 * @param path A file of nbformat 4.
 * @returns The notebook.
 * @throws {SyntaxError} If the file is not such a notebook.
 */
export async function readNotebook(path: string): Promise<Notebook> {
  let notebook: Notebook;
  try {
    notebook = JSON.parse(await Deno.readTextFile(path));
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) throw cause;
    throw new SyntaxError(`${path} is not JSON: ${cause}`, { cause });
  }
  if (notebook.nbformat !== 4 || !Array.isArray(notebook.cells)) {
    throw new SyntaxError(`${path} has nbformat ${notebook.nbformat}; a notebook of 4 is needed.`);
  }
  return notebook;
}

/** The text of a cell. */
export function sourceText(cell: Cell): string {
  return typeof cell.source === "string" ? cell.source : cell.source.join("");
}

/** The code cells with their numbers, counted over all code cells from 1. */
export function codeCells(notebook: Notebook): { number: number; cell: Cell }[] {
  return notebook.cells.filter((cell) => cell.cell_type === "code")
    .map((cell, index) => ({ number: index + 1, cell }));
}

/** What an executed notebook lacks. */
export interface Verdict {
  /** Cells that failed, with their tracebacks: running again does not help. */
  readonly errors: string[];
  /** Outputs that a cell should have and has not: the kernel may have lost them. */
  readonly missing: string[];
}

/**
 * Compares the outputs of an executed notebook with what its cells promise: the MIME types listed
 * in the cell's metadata, `"moiie": {"expects": ["image/png"]}`, or else one displayed output
 * for each line that starts with `await show(`, and at least one if the cell calls `show(`.
 *
 * @param notebook An executed notebook.
 * @returns Errors and missing outputs; both empty if all is well.
 */
export function judge(notebook: Notebook): Verdict {
  const errors: string[] = [];
  const missing: string[] = [];
  for (const { number, cell } of codeCells(notebook)) {
    const outputs = cell.outputs ?? [];
    for (const output of outputs.filter((output) => output.output_type === "error")) {
      const trace = plain((output.traceback ?? []).join("\n"));
      errors.push(`cell ${number}: ${output.ename}: ${output.evalue}\n${indent(trace)}`);
    }
    const displays = outputs.filter((output) => output.data);
    const types = new Set(displays.flatMap((output) => Object.keys(output.data!)));
    const expects = expectation(cell);
    if (expects) {
      const lost = expects.filter((type) => !types.has(type));
      if (lost.length > 0) missing.push(`cell ${number}: no output of type ${lost.join(", ")}`);
    } else if (displays.length < promisedDisplays(cell)) {
      missing.push(
        `cell ${number}: ${displays.length} outputs displayed, ${promisedDisplays(cell)} promised`,
      );
    }
  }
  return { errors, missing };
}

function expectation(cell: Cell): string[] | undefined {
  return (cell.metadata.moiie as { expects?: string[] } | undefined)?.expects;
}

/** Calls inside loops and branches count once: how often they run is not known. */
function promisedDisplays(cell: Cell): number {
  const code = sourceText(cell).replace(/\/\/.*$/gm, "").replace(/\/\*[\s\S]*?\*\//g, "");
  const calls = /\bshow\s*\(/.test(code) ? 1 : 0;
  return Math.max(calls, code.match(/^await show\s*\(/gm)?.length ?? 0);
}

/** Text without terminal colours. */
function plain(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/\x1b\[[0-9;]*m/g, "");
}

function indent(text: string): string {
  return text.split("\n").map((line) => `    ${line}`).join("\n");
}

/**
 * Removes from an executed notebook what changes with every run or does not belong in a
 * repository: times, interactive copies of pictures (they name their random identifiers and are
 * stripped by viewers), and the colours of texts.
 *
 * @param notebook An executed notebook.
 * @returns A tidy copy; running the same code again gives the same bytes, as far as the outputs do.
 */
export function tidy(notebook: Notebook): Notebook {
  const { kernelspec, language_info } = notebook.metadata;
  return {
    cells: notebook.cells.map(tidyCell),
    metadata: {
      ...(kernelspec ? { kernelspec } : {}),
      ...(language_info ? { language_info: tidyLanguage(language_info) } : {}),
    },
    nbformat: notebook.nbformat,
    nbformat_minor: notebook.nbformat_minor,
  };
}

/** The kernel adds its version, which would change every notebook with every release. */
function tidyLanguage(info: unknown): Record<string, unknown> {
  const { version: _version, ...rest } = info as Record<string, unknown>;
  return rest;
}

function tidyCell(cell: Cell): Cell {
  const { execution: _times, ...metadata } = cell.metadata;
  const common = {
    cell_type: cell.cell_type,
    ...(cell.id === undefined ? {} : { id: cell.id }),
    metadata,
    source: lines(sourceText(cell)),
  };
  if (cell.cell_type !== "code") return common;
  return {
    ...common,
    execution_count: cell.execution_count ?? null,
    outputs: mergeStreams(cell.outputs ?? []).map(tidyOutput),
  };
}

/** The kernel splits what was logged at random places. */
function mergeStreams(outputs: readonly Output[]): Output[] {
  const merged: Output[] = [];
  for (const output of outputs) {
    const last = merged[merged.length - 1];
    if (output.output_type === "stream" && last?.name === output.name) {
      last.text = streamText(last) + streamText(output);
    } else {
      merged.push({ ...output });
    }
  }
  return merged;
}

function streamText({ text = "" }: Output): string {
  return typeof text === "string" ? text : text.join("");
}

function tidyOutput(output: Output): Output {
  if (output.output_type === "stream") return { ...output, text: lines(plain(streamText(output))) };
  if (!output.data) return output;
  const data = { ...output.data };
  if ("image/png" in data) delete data["text/html"];
  for (const [type, value] of Object.entries(data)) {
    const text = Array.isArray(value) ? value.join("") : value;
    if (typeof text !== "string") continue;
    if (type === "image/png") data[type] = text.replaceAll("\n", "");
    else data[type] = lines(type === "text/plain" ? plain(text) : text);
  }
  return { ...output, data };
}

/** Splits text into lines that keep their line ends, as notebook files have them. */
function lines(text: string): string[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
}

/**
 * Writes a notebook the way Jupyter does: one space of indentation, sorted in the file format's
 * order, a newline at the end. The file is replaced in one go.
 *
 * @param path Where to write.
 * @param notebook The notebook.
 */
export async function writeNotebook(path: string, notebook: Notebook): Promise<void> {
  const part = `${path}.part`;
  await Deno.writeTextFile(part, JSON.stringify(notebook, null, 1) + "\n");
  await Deno.rename(part, path);
}
