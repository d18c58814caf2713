/** Sessions: a device, and the ways to make lazy tensors real on it: reading and evaluating. */
import { type Gpu, type GpuMemory, type GpuOptions, openGpu } from "../gpu/mod.ts";
import { bytesPerElement, hostArray, type HostData, toHost } from "./dtype.ts";
import { setReader, type Tensor } from "./graph.ts";
import { KernelLog, type KernelTable } from "./kernel_log.ts";
import { LeastRecent } from "./least_recent.ts";
import { plan } from "./plan.ts";
import { copyGraph, structureOf } from "./structure.ts";
import {
  Executable,
  type GpuStorage,
  overwrite,
  type Program,
  targetOf,
  tune,
  upload,
} from "./webgpu/execute.ts";
import { tunedPath } from "./webgpu/tuned_file.ts";
import { FAMILY_NAMES, runnable } from "./webgpu/variants.ts";

/** Options of {@linkcode lab}. */
export interface LabOptions extends GpuOptions {
  /** Seed of everything random in this session. Default 0. */
  seed?: number;
  /**
   * `"kernels"` times every kernel, which is slower, and prints a table of them: after each
   * evaluation its own, and when the session is closed that of all of them. See
   * {@linkcode Session.kernels}.
   */
  debug?: "kernels";
  /**
   * Whether variants of the matrix product are measured when a class of shapes is used for the first
   * time: in a file of this name, or in `kernels.json` in the user's cache folder, the fastest is
   * remembered. No result changes. Default true on GPUs, false on CPU drivers, where compiling the
   * candidates takes longer than it gains.
   */
  tune?: boolean | string;
}

/** A plan, and the position of each of its leaves among those of a graph of that structure. */
interface Planned {
  executable: Executable;
  place: ReadonlyMap<Tensor, number>;
}

/** Tensors that are being computed, and where their values will be. */
interface Computation {
  program: Program;
  results: ReadonlyMap<Tensor, GpuStorage>;
}

/** Plans kept: more than a notebook's cells use, little memory each. */
const MOST_PLANS = 128;

/** An open device. Made by {@linkcode lab}. */
export class Session {
  /** The device. */
  readonly gpu: Gpu;
  /** Seed of everything random. */
  readonly seed: number;
  /** Plans by the structure of the graph. */
  readonly #plans = new LeastRecent<Planned>(MOST_PLANS);
  readonly #log: KernelLog | undefined;

  /** Use {@linkcode lab}. */
  constructor(gpu: Gpu, seed: number, log?: KernelLog) {
    this.gpu = gpu;
    this.seed = seed;
    this.#log = log;
  }

  /**
   * Times of all kernels since the session was opened or {@linkcode Session.resetKernels} was called,
   * those of compiled functions among them. In a notebook: `await show(session.kernels())`.
   *
   * @throws {Error} unless the session was opened with `lab({ debug: "kernels" })`.
   */
  kernels(): KernelTable {
    return this.#kernelLog().table();
  }

  /**
   * Forgets the times so far.
   *
   * @throws {Error} unless the session was opened with `lab({ debug: "kernels" })`.
   */
  resetKernels(): void {
    this.#kernelLog().reset();
  }

  /**
   * Kernel variants that the device can run, by family; the first of each is the one it gets unless
   * another is asked for with `lab({ variants })`.
   */
  variants(): Record<string, string[]> {
    const target = targetOf(this.gpu);
    return Object.fromEntries(FAMILY_NAMES.map((family) => [family, runnable(family, target)]));
  }

  #kernelLog(): KernelLog {
    if (this.#log) return this.#log;
    throw new Error('kernels are timed only in a session of lab({ debug: "kernels" })');
  }

  /**
   * Runs a program; if the session times kernels, waits for their times.
   *
   * @param print whether to print the times of this run, if they are taken
   * @internal
   */
  async run(program: Program, print: boolean): Promise<void> {
    if (this.#log) await this.#log.record(program, print);
    else program.run();
  }

  /**
   * Device memory in bytes: live, peak, kept for reuse, and by owner: "parameters", "optimizer",
   * "plan" (intermediate results and results of compiled functions), "tensor" (everything else).
   */
  memory(): GpuMemory {
    return this.gpu.memory();
  }

  /** One line about the device. */
  toString(): string {
    return `${this.gpu.adapter.name} through ${this.gpu.provider}, seed ${this.seed}`;
  }

  /** Reads values back, computing them first when needed. */
  async read(t: Tensor): Promise<HostData> {
    return (await this.readAll(t))[0];
  }

  /** Reads several tensors back with one wait, computing them together first when needed. */
  async readAll(...tensors: readonly Tensor[]): Promise<HostData[]> {
    // Before anything is computed: that takes leaves from the host to the device.
    const hosts = tensors.map((t) => t.host);
    const onDevice = tensors.filter((t) => !t.host && t.size > 0);
    // Submitted before any wait: a run that comes later may write to the same memory.
    if (this.#log) await this.evaluate(...onDevice); // its kernels are timed by themselves
    const computation = await this.#computation(onDevice);
    const ranges = onDevice.map((t) => {
      const { range } = computation?.results.get(t) ?? upload(this.gpu, t);
      return { ...range, size: t.size * bytesPerElement(t.dtype) };
    });
    const wait = computation?.program.runAndRead(ranges) ?? this.gpu.startRead(ranges);
    if (computation) this.#adopt(computation);
    const bytes = await wait();
    return tensors.map((t, i) => {
      const at = onDevice.indexOf(t);
      return at >= 0 ? hostArray(t.dtype, bytes[at]) : hosts[i]?.slice() ?? hostArray(t.dtype, 0);
    });
  }

  /**
   * Reads a run of a tensor's elements back, in row-major order, computing it first when needed.
   *
   * @throws {RangeError} if it has fewer elements.
   */
  async readPart(t: Tensor, from: number, count: number): Promise<HostData> {
    if (!(Number.isInteger(from) && Number.isInteger(count) && from >= 0 && count >= 0)) {
      throw new RangeError(`readPart: ${count} elements from ${from} on are no part of a tensor`);
    }
    if (from + count > t.size) {
      throw new RangeError(`readPart: ${t} has ${t.size} elements, not ${count} from ${from} on`);
    }
    if (t.host) return t.host.slice(from, from + count);
    if (count === 0) return hostArray(t.dtype, 0);
    await this.evaluate(t);
    const { buffer, offset } = upload(this.gpu, t).range, bytes = bytesPerElement(t.dtype);
    const part = { buffer, offset: offset + from * bytes, size: count * bytes };
    return hostArray(t.dtype, (await this.gpu.readMany([part]))[0]);
  }

  /**
   * Computes tensors together; afterwards they are leaves with values on the device. A graph of the
   * same structure as a former one (a loop's next turn) is not planned anew.
   */
  async evaluate(...tensors: Tensor[]): Promise<void> {
    const computation = await this.#computation(tensors);
    if (!computation) return;
    await this.run(computation.program, true);
    this.#adopt(computation);
  }

  /** What has to be run for tensors to have values; undefined if they have. */
  async #computation(tensors: readonly Tensor[]): Promise<Computation | undefined> {
    // An operation with several results makes all of them at once.
    const all = new Set(tensors.flatMap((t) => [t, ...t.node.outputs]));
    const todo = [...all].filter((t) => t.node.op !== "leaf");
    for (const t of todo) {
      if (t.node.op === "disposed") throw new TypeError(`evaluate: ${t} was disposed`);
    }
    if (todo.length === 0) return undefined;
    const { key, leaves } = structureOf(todo);
    let planned = this.#plans.get(key);
    if (!planned) {
      const copy = copyGraph(todo);
      const executable = await Executable.create(this.gpu, plan(copy.roots));
      planned = { executable, place: new Map(copy.leaves.map((t, i) => [t, i])) };
      this.#plans.set(key, planned);
    }
    const { executable, place } = planned;
    const program = await executable.bind((t) => upload(this.gpu, leaves[place.get(t)!]));
    return { program, results: new Map(todo.map((t, i) => [t, program.results[i]])) };
  }

  /** Makes the tensors of a computation that was submitted leaves. */
  #adopt({ program, results }: Computation): void {
    const storages = program.release(true);
    for (const [i, t] of [...results.keys()].entries()) {
      t.storage?.release(); // computed by two callers at once
      t.storage = storages[i];
      if (t.owner !== undefined) this.gpu.assign(storages[i].range.buffer, t.owner);
      t.node = { op: "leaf", inputs: [], attributes: {}, outputs: [t] };
    }
  }

  /** Closes the device. Tensors of the session cannot be read afterwards. */
  dispose(): void {
    this.#log?.close();
    if (current === this) {
      current = undefined;
      setReader(undefined);
    }
    this.gpu.dispose();
  }

  /** `using session = await lab()` closes it at the end of the block. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

let current: Session | undefined;

/**
 * Opens a session on the best device there is: Dawn, else Deno's own WebGPU, else the browser's.
 * The session becomes the current one, which reads tensors.
 *
 * @throws {Error} with the remedy if no adapter is found. @throws {RangeError} if an option makes no
 * sense.
 *
 * @example
 * ```ts no-eval
 * import { lab } from "@moiie/lab";
 * const session = await lab({ seed: 7 });
 * console.log(String(session));
 * ```
 */
export async function lab(options: LabOptions = {}): Promise<Session> {
  const { seed = 0, debug, tune: tuning, ...rest } = options;
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new RangeError(`lab: seed ${seed} must be a non-negative whole number`);
  }
  if (debug !== undefined && debug !== "kernels") {
    throw new RangeError(`lab: debug "${debug}" is not known; there is "kernels"`);
  }
  const gpu = await openGpu(rest);
  try {
    targetOf(gpu); // refuses kernel variants that there are not
    if (tuning ?? !gpu.adapter.software) {
      await tune(gpu, typeof tuning === "string" ? tuning : tunedPath());
    }
  } catch (error) {
    gpu.dispose();
    throw error;
  }
  const log = debug === "kernels" ? await KernelLog.open(gpu) : undefined;
  const session = new Session(gpu, seed, log);
  current = session;
  setReader(session);
  return session;
}

/**
 * The session that was opened last.
 *
 * @throws {Error} if none is open.
 */
export function currentSession(): Session {
  if (!current) throw new Error("no session is open: call `await lab()` first");
  return current;
}

/** The session that was opened last, undefined if none is open. */
export function openSession(): Session | undefined {
  return current;
}

/** The seed of the session that was opened last, 0 if none is open. */
export function sessionSeed(): number {
  return current?.seed ?? 0;
}

/**
 * Computes tensors together on the current session; they keep their values on the device.
 *
 * @throws {Error} if no session is open, or the device failed. @throws {TypeError} if a tensor was
 * disposed. @throws {RangeError} if a tensor is larger than the device can bind.
 */
export async function evaluate(...tensors: Tensor[]): Promise<void> {
  await currentSession().evaluate(...tensors);
}

/**
 * Values of several tensors, computed together where needed and read with one wait.
 *
 * @returns the values of each tensor in row-major order
 * @throws {Error} if no session is open, or the device failed. @throws {TypeError} if a tensor was
 * disposed.
 */
export async function readAll(...tensors: readonly Tensor[]): Promise<HostData[]> {
  return await currentSession().readAll(...tensors);
}

/**
 * A run of a tensor's elements in row-major order, so that a large one need not be read whole.
 *
 * @throws {RangeError} if the tensor has fewer elements. @throws {Error} if no session is open, or the
 * device failed. @throws {TypeError} if the tensor was disposed.
 */
export async function readPart(t: Tensor, from: number, count: number): Promise<HostData> {
  return await currentSession().readPart(t, from, count);
}

/**
 * Overwrites the values of a leaf, such as a parameter read from a checkpoint; plans that are bound
 * to its memory see the new values.
 *
 * @throws {RangeError} if the number of values differs. @throws {TypeError} if it is no leaf.
 */
export function setValues(t: Tensor, values: ArrayLike<number>): void {
  if (t.node.op !== "leaf") throw new TypeError(`setValues: ${t} is computed, not a leaf`);
  if (values.length !== t.size) {
    throw new RangeError(`setValues: ${values.length} values for ${t} of ${t.size}`);
  }
  const host = toHost(values, t.dtype);
  if (t.storage) overwrite(currentSession().gpu, t, host);
  else t.host = host.slice();
}
