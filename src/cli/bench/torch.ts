/**
 * The benchmark's work in PyTorch: `torch/peer.py` as a process beside this one, which is asked job by
 * job, so that both sides of a comparison are measured within seconds.
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { writeSafetensors } from "../../models/mod.ts";
import type { HostTensor, Tensor } from "../../tensor/mod.ts";
import { type PeerType, type PeerWork, TIMING } from "./job.ts";

/** Which PyTorch, on what. */
export interface TorchAbout {
  /** Its version. */
  readonly version: string;
  /** Name of the GPU or of the processor. */
  readonly device: string;
  /** `cuda` or `cpu`. */
  readonly type: string;
  /** Threads of the processor that it uses. */
  readonly threads: number;
}

/** What PyTorch took. */
export interface TorchMeasurement {
  /** Element type. */
  readonly dtype: PeerType;
  /** The fastest of the ways to do it. */
  readonly how: string;
  /** Median of the runs, milliseconds from the call until the device is idle. */
  readonly median: number;
  /** Fastest run, milliseconds. */
  readonly min: number;
  /** Measured runs. */
  readonly n: number;
}

/** A way to do a job that PyTorch refused. */
export interface TorchFailure {
  /** Element type. */
  readonly dtype: PeerType;
  /** The way. */
  readonly how: string;
  /** What it said. */
  readonly error: string;
}

/** What came of one job. */
export interface TorchAnswer {
  /** One for each element type that worked. */
  readonly measured: readonly TorchMeasurement[];
  /** The ways that did not. */
  readonly failed: readonly TorchFailure[];
}

/** What the benchmark's report says of PyTorch: eager, f32 without TF32. */
export interface TorchReport extends TorchAbout {
  /** The jobs that PyTorch knows. */
  readonly jobs: readonly TorchJob[];
  /** PyTorch's median by ours for each job and element type: above 1 where PyTorch takes longer. */
  readonly timeByOurs: Readonly<Record<string, number>>;
}

/** What came of one job, with its name. */
export interface TorchJob extends TorchAnswer {
  /** The job's name, the same on both sides. */
  readonly name: string;
}

/** A request without what is the same in all. */
export interface TorchRequest {
  /** Which work. */
  readonly kind: string;
  /** Shapes and types of the operands. */
  readonly inputs: Readonly<Record<string, { dtype: string; shape: readonly number[] }>>;
  /** What the shapes do not say. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Element types. */
  readonly dtypes: readonly PeerType[];
  /** File of the operands' values; random ones if missing. */
  readonly values?: string;
}

/** The command that starts the Python program. @param cpu leave a GPU alone, as this side does */
export function torchCommand(python: string, cpu: boolean): string[] {
  const program = fileURLToPath(new URL("torch/peer.py", import.meta.url));
  return [python, "-B", program, ...(cpu ? ["--cpu"] : [])];
}

/** PyTorch in a process of its own. */
export class Torch implements AsyncDisposable {
  /** Which PyTorch it is. */
  readonly about: TorchAbout;
  readonly #process: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #lines: AsyncGenerator<string>;
  readonly #folder: string;
  #files = 0;

  private constructor(
    about: TorchAbout,
    process: Deno.ChildProcess,
    lines: AsyncGenerator<string>,
    folder: string,
  ) {
    this.about = about;
    this.#process = process;
    this.#lines = lines;
    this.#folder = folder;
    this.#writer = process.stdin.getWriter();
  }

  /**
   * Starts it and waits until it says what it is.
   *
   * @param command see {@linkcode torchCommand}
   * @throws {Error} if there is no such program, or it has no PyTorch.
   */
  static async start(command: readonly string[]): Promise<Torch> {
    const [python, ...args] = command;
    const options = { args, stdin: "piped", stdout: "piped", stderr: "inherit" } as const;
    let process: Deno.ChildProcess;
    try {
      process = new Deno.Command(python, options).spawn();
    } catch (cause) {
      throw new Error(
        `--torch: ${python} could not be started (${
          (cause as Error).message
        }); name a Python that ` +
          `has PyTorch, as in --torch venv/bin/python`,
        { cause },
      );
    }
    const lines = linesOf(process.stdout);
    const { value: first } = await lines.next();
    try {
      if (!first) throw new Error(`it ended with code ${(await process.status).code}`);
      const about = checkAbout(parse(first));
      return new Torch(about, process, lines, await Deno.makeTempDir());
    } catch (cause) {
      await process.stdin.close().catch(() => {});
      await lines.return(undefined);
      await process.status;
      throw new Error(
        `--torch: ${python} has no PyTorch that can be measured (${(cause as Error).message}); ` +
          `install it there with "${python} -m pip install torch", or name another Python`,
        { cause },
      );
    }
  }

  /** What to ask for a work; writes the operands' values where they matter. */
  async request({ kind, inputs, options = {}, dtypes = ["f32"], withValues }: PeerWork): Promise<
    TorchRequest
  > {
    const described = Object.fromEntries(
      Object.entries(inputs).map(([name, x]) => [name, { dtype: typeOf(x), shape: x.shape }]),
    );
    const request = { kind, inputs: described, options, dtypes };
    if (!withValues) return request;
    const values = join(this.#folder, `values${this.#files++}.safetensors`);
    await writeValues(values, inputs);
    return { ...request, values };
  }

  /**
   * Measures a work.
   *
   * @throws {Error} if PyTorch could not, or what comes back makes no sense.
   */
  async measure(request: TorchRequest): Promise<TorchAnswer> {
    return checkAnswer(await this.#ask({ ...request, timing: TIMING }));
  }

  /**
   * Does a work so many times, and writes the results of the last time to a safetensors file, as
   * `WAY.0`, `WAY.1`, … for each way to do it.
   */
  async results(request: TorchRequest, runs: number, path: string): Promise<void> {
    checkAnswer(await this.#ask({ ...request, runs, results: path }));
  }

  async #ask(message: unknown): Promise<Record<string, unknown>> {
    await this.#writer.write(new TextEncoder().encode(`${JSON.stringify(message)}\n`));
    const { value, done } = await this.#lines.next();
    if (done) throw new Error(`PyTorch ended with code ${(await this.#process.status).code}`);
    return parse(value);
  }

  /** Ends the process and removes its files. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writer.close().catch(() => {});
    await this.#lines.return(undefined);
    await this.#process.status;
    await Deno.remove(this.#folder, { recursive: true });
  }
}

const typeOf = (x: Tensor | HostTensor): string =>
  x.dtype ?? (x.data instanceof Int32Array ? "i32" : "f32");

/** The operands as a file. */
async function writeValues(path: string, inputs: PeerWork["inputs"]): Promise<void> {
  const tensors = await Promise.all(
    Object.entries(inputs).map(async ([name, x]) => {
      const data = typeof x.data === "function" ? await x.data() : x.data, { shape } = x;
      return data instanceof Int32Array
        ? [name, { dtype: "I32", shape, data }]
        : [name, { dtype: "F32", shape, data: Float32Array.from(data) }];
    }),
  );
  await writeSafetensors(path, Object.fromEntries(tensors));
}

/** The lines of a stream of text. */
async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
  if (rest) yield rest;
}

/** A line of the other side; its errors are thrown here. */
function parse(line: string): Record<string, unknown> {
  let answer: unknown;
  try {
    answer = JSON.parse(line);
  } catch (cause) {
    throw new SyntaxError(`PyTorch's side printed "${line.slice(0, 200)}" instead of JSON`, {
      cause,
    });
  }
  if (answer === null || typeof answer !== "object") {
    throw new TypeError(`PyTorch's side printed ${line.slice(0, 200)} instead of an object`);
  }
  const { error } = answer as { error?: unknown };
  if (error !== undefined) throw new Error(`PyTorch: ${error}`);
  return { ...answer };
}

/** Fields of one type. @throws {TypeError} naming the first that is missing or of another. */
function checkFields(
  it: Record<string, unknown>,
  types: Readonly<Record<string, "string" | "number">>,
): void {
  for (const [name, type] of Object.entries(types)) {
    const value = it[name];
    if (typeof value !== type || (typeof value === "number" && !(value >= 0 && value < Infinity))) {
      throw new TypeError(`PyTorch's side says ${name} = ${JSON.stringify(value)}, not a ${type}`);
    }
  }
}

function checkAbout(about: Record<string, unknown>): TorchAbout {
  checkFields(about, { version: "string", device: "string", type: "string", threads: "number" });
  return about as unknown as TorchAbout;
}

function checkAnswer(answer: Record<string, unknown>): TorchAnswer {
  const { measured, failed } = answer;
  if (!Array.isArray(measured) || !Array.isArray(failed)) {
    throw new TypeError(`PyTorch's side answered ${JSON.stringify(answer).slice(0, 200)}`);
  }
  const what = { dtype: "string", how: "string" } as const;
  for (const it of measured) {
    checkFields(it, { ...what, median: "number", min: "number", n: "number" });
  }
  for (const it of failed) checkFields(it, { ...what, error: "string" });
  return { measured, failed };
}

/** The report on jobs that were measured on both sides. */
export function torchReport(
  about: TorchAbout,
  jobs: readonly TorchJob[],
  ours: readonly { readonly name: string; readonly median: number }[],
): TorchReport {
  const median = new Map(ours.map(({ name, median }) => [name, median]));
  const timeByOurs = Object.fromEntries(
    jobs.flatMap(({ name, measured }) =>
      measured.map((it) => [`${name}, ${it.dtype}`, it.median / median.get(name)!])
    ),
  );
  return { ...about, jobs, timeByOurs };
}
