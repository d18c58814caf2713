/**
 * Sessions: a device, and the ways to make lazy tensors real on it: reading, {@linkcode evaluate}
 * and {@linkcode compile}.
 */
import { type Gpu, type GpuOptions, openGpu } from "../gpu/mod.ts";
import { type DType, dtypeOf, hostArray, type HostData, toHost } from "./dtype.ts";
import { placeholder, setReader, Tensor } from "./graph.ts";
import { packedOffsets } from "./pack.ts";
import { bytesOf, plan } from "./plan.ts";
import { formatShape, type Shape, sizeOf } from "./shape.ts";
import { allocate, GpuStorage, overwrite, Program, upload } from "./webgpu/execute.ts";

/** Options of {@linkcode lab}. */
export interface LabOptions extends GpuOptions {
  /** Seed of everything random in this session. Default 0. */
  seed?: number;
}

/** Memory of a session, in bytes. */
export interface SessionMemory {
  /** In use by tensors and plans. */
  live: number;
  /** Most that was ever in use. */
  peak: number;
  /** Kept for reuse. */
  pooled: number;
  /** Number of buffers in use. */
  buffers: number;
}

/** An open device. Made by {@linkcode lab}. */
export class Session {
  /** The device. */
  readonly gpu: Gpu;
  /** Seed of everything random. */
  readonly seed: number;

  /** Use {@linkcode lab}. */
  constructor(gpu: Gpu, seed: number) {
    this.gpu = gpu;
    this.seed = seed;
  }

  /** Device memory, in bytes. */
  memory(): SessionMemory {
    return this.gpu.memory();
  }

  /** One line about the device. */
  toString(): string {
    return `${this.gpu.adapter.name} through ${this.gpu.provider}, seed ${this.seed}`;
  }

  /** Reads values back, computing them first when needed. */
  async read(t: Tensor): Promise<HostData> {
    if (t.host) return t.host.slice();
    if (t.size === 0) return hostArray(t.dtype, 0);
    if (t.node.op !== "leaf") await this.evaluate(t);
    const { range } = upload(this.gpu, t);
    return hostArray(t.dtype, await this.gpu.read(range.buffer, range.offset, bytesOf(t)));
  }

  /** Computes tensors; afterwards they are leaves with values on the device. */
  async evaluate(...tensors: Tensor[]): Promise<void> {
    // An operation with several results makes all of them at once.
    const all = new Set(tensors.flatMap((t) => [t, ...t.node.outputs]));
    const todo = [...all].filter((t) => t.node.op !== "leaf");
    for (const t of todo) {
      if (t.node.op === "disposed") throw new TypeError(`evaluate: ${t} was disposed`);
    }
    if (todo.length === 0) return;
    const program = await Program.create(this.gpu, plan(todo));
    program.run();
    const storages = program.release(true);
    todo.forEach((t, i) => {
      t.storage = storages[i];
      t.node = { op: "leaf", inputs: [], attributes: {}, outputs: [t] };
    });
  }

  /** Closes the device. Tensors of the session cannot be read afterwards. */
  dispose(): void {
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
 * @throws {Error} with the remedy if no adapter is found.
 *
 * @example
 * ```ts no-eval
 * import { lab } from "@moiie/lab";
 * const session = await lab({ seed: 7 });
 * console.log(String(session));
 * ```
 */
export async function lab(options: LabOptions = {}): Promise<Session> {
  const { seed = 0, ...rest } = options;
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new RangeError(`lab: seed ${seed} must be a non-negative whole number`);
  }
  const session = new Session(await openGpu(rest), seed);
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

/** The seed of the session that was opened last, 0 if none is open. */
export function sessionSeed(): number {
  return current?.seed ?? 0;
}

/** Computes tensors together on the current session; they keep their values on the device. */
export async function evaluate(...tensors: Tensor[]): Promise<void> {
  await currentSession().evaluate(...tensors);
}

/** A host array with its shape: what compiled functions take. */
export interface HostTensor {
  /** Values in row-major order. */
  readonly data: HostData;
  /** Sizes. */
  readonly shape: Shape;
  /** Element type; by default that of the array. */
  readonly dtype?: DType;
}

/** Names of a compiled function's inputs; any names will do. */
export type Inputs = Readonly<Record<string, unknown>>;
/** The inputs as the caller gives them. */
export type HostInputs<I extends Inputs> = { readonly [K in keyof I]: HostTensor };
/** The inputs as the traced function gets them. */
export type InputTensors<I extends Inputs> = { readonly [K in keyof I]: Tensor };
/** Results of a compiled function. */
export type Outputs = Readonly<Record<string, Tensor | readonly Tensor[]>>;

/** A traced function: see {@linkcode compile}. */
export interface Compiled<I extends Inputs, O extends Outputs> {
  /** Uploads the inputs and runs the plan; results are overwritten by the next run. */
  (inputs: HostInputs<I>): Promise<O>;
  /** Number of dispatches of the plan for these inputs' shapes, once it has run. */
  readonly dispatches: number;
  /** Runs once with a time for every kernel, in milliseconds. */
  profile(inputs: HostInputs<I>): Promise<readonly { label: string; ms: number }[]>;
  /** Gives the plans' memory back. */
  dispose(): void;
}

interface Trace<O> {
  program: Program;
  inputs: Record<string, Tensor>;
  outputs: O;
}

/**
 * Traces a function once for each combination of input shapes and replays the plan afterwards: a
 * replay makes no buffer and no bind group, and waits for nothing. Tensors that the function
 * captures (parameters) are read where they are; in-place updates among its results (an optimizer's)
 * take effect after everything else of the run. Calls run one after the other, in order.
 *
 * The results belong to the plan: the next run overwrites them. Reading one (`await loss.item()`)
 * right after the call gets this run's value, even if it arrives later.
 *
 * @param f builds the results from input tensors; its JavaScript runs at tracing only
 */
export function compile<I extends Inputs, O extends Outputs>(
  f: (inputs: InputTensors<I>) => O,
): Compiled<I, O> {
  const traces = new Map<string, Trace<O>>();
  let last: Trace<O> | undefined;
  let queue: Promise<unknown> = Promise.resolve();

  const drop = ({ program, inputs }: Trace<O>): void => {
    program.release();
    for (const t of Object.values(inputs)) t.dispose();
  };
  /** The trace for these inputs, with their values uploaded. */
  const prepare = async (inputs: HostInputs<I>): Promise<Trace<O>> => {
    const given = Object.entries<HostTensor>(inputs);
    const key = given.map(([name, x]) => signature(name, x)).join(";");
    let trace = traces.get(key);
    if (trace && !trace.program.isCurrent()) {
      traces.delete(key);
      drop(trace);
      trace = undefined;
    }
    if (!trace) traces.set(key, trace = await makeTrace(f, given));
    const { gpu } = currentSession();
    for (const [name, x] of given) {
      const t = trace.inputs[name];
      overwrite(gpu, t, toHost(x.data, t.dtype));
    }
    return last = trace;
  };
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const result = queue.then(work);
    queue = result.catch(() => {});
    return result;
  };

  const run = (inputs: HostInputs<I>): Promise<O> =>
    inTurn(async () => {
      const trace = await prepare(inputs);
      trace.program.run();
      return trace.outputs;
    });
  return Object.defineProperties(run, {
    dispatches: { get: () => last?.program.dispatches ?? 0 },
    profile: {
      value: (inputs: HostInputs<I>) =>
        inTurn(async () => await (await prepare(inputs)).program.profile()),
    },
    dispose: {
      value: () => {
        for (const trace of traces.values()) drop(trace);
        traces.clear();
        last = undefined;
      },
    },
  }) as Compiled<I, O>;
}

/** What a plan depends on: name, type and shape of an input. */
function signature(name: string, x: HostTensor): string {
  if (sizeOf(x.shape) !== x.data.length) {
    throw new RangeError(
      `compiled function: input "${name}" has ${x.data.length} values for shape ` +
        formatShape(x.shape),
    );
  }
  return `${name}:${x.dtype ?? dtypeOf(x.data)}${formatShape(x.shape)}`;
}

/** Runs a function on placeholders and plans its results. */
async function makeTrace<O extends Outputs>(
  f: (inputs: never) => O,
  given: readonly (readonly [string, HostTensor])[],
): Promise<Trace<O>> {
  const { gpu } = currentSession();
  const inputs: Record<string, Tensor> = {};
  for (const [name, x] of given) {
    const t = placeholder(x.shape, x.dtype ?? dtypeOf(x.data), name);
    t.storage = allocate(gpu, bytesOf(t), name);
    inputs[name] = t;
  }
  try {
    const traced = f(inputs as never);
    for (const [name, result] of Object.entries(traced)) {
      if ([result].flat().some((t) => !(t instanceof Tensor))) {
        throw new TypeError(`compiled function: result "${name}" is no tensor`);
      }
    }
    const roots = Object.values(traced).flat() as Tensor[];
    const program = await Program.create(gpu, plan(roots));
    return { program, inputs, outputs: settle(traced, program) };
  } catch (error) {
    for (const t of Object.values(inputs)) t.dispose();
    throw error;
  }
}

/** The traced results as leaves that show the plan's memory. */
function settle<O extends Outputs>(traced: O, program: Program): O {
  let i = 0;
  const leaf = (t: Tensor): Tensor => {
    const storage = program.results[i++];
    if (t.node.op === "leaf") return t;
    const out = placeholder(t.shape, t.dtype, t.name);
    out.storage = storage;
    return out;
  };
  return Object.fromEntries(
    Object.entries(traced).map((
      [name, x],
    ) => [name, x instanceof Tensor ? leaf(x) : x.map(leaf)]),
  ) as unknown as O;
}

/**
 * Moves tensors into one flat tensor in device memory, each at a multiple of 256 bytes, so that an
 * optimizer can update all of them in one kernel. The tensors stay as they are for their users.
 *
 * @returns the flat tensor, zero between the parts, and the first element of each part
 */
export function flattenInPlace(tensors: readonly Tensor[]): { flat: Tensor; offsets: number[] } {
  const { gpu } = currentSession();
  const { offsets, size } = packedOffsets(tensors.map((t) => t.size));
  const flat = placeholder([size], "f32", "parameters");
  const storage = allocate(gpu, size * 4, "parameters");
  gpu.write(storage.range, new Float32Array(size));
  flat.storage = storage;
  const copies = tensors.map((t, i) => {
    if (t.dtype !== "f32" || t.node.op !== "leaf") {
      throw new TypeError(`flattenInPlace: ${t} must be an f32 leaf`);
    }
    const range = { buffer: storage.range.buffer, offset: offsets[i] * 4, size: t.size * 4 };
    return { from: { ...upload(gpu, t).range, size: t.size * 4 }, to: range };
  });
  gpu.submit([], copies);
  tensors.forEach((t, i) => {
    t.storage!.release();
    t.storage = new GpuStorage(gpu, copies[i].to, false, storage);
  });
  return { flat, offsets };
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
