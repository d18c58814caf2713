/** Compiled functions: traced once for each combination of input shapes, then replayed. */
import { type DType, dtypeOf, type HostData, toHost } from "./dtype.ts";
import { placeholder, Tensor } from "./graph.ts";
import { LeastRecent } from "./least_recent.ts";
import { bytesOf, plan } from "./plan.ts";
import { currentSession } from "./session.ts";
import { formatShape, type Shape, sizeOf } from "./shape.ts";
import { allocate, Executable, overwrite, type Program, upload } from "./webgpu/execute.ts";

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
  /** Results that live in the plan's memory and end with it. */
  own: readonly Tensor[];
}

/** Traces that one function keeps, each with memory of its own. */
const MOST_TRACES = 16;

/**
 * Traces a function once for each combination of input shapes and replays the plan afterwards: a
 * replay makes no buffer and no bind group, and waits for nothing. Tensors that the function
 * captures (parameters) are read where they are; in-place updates among its results (an optimizer's)
 * take effect after everything else of the run. Calls run one after the other, in order.
 *
 * The results belong to the plan: the next run overwrites them. Reading one (`await loss.item()`)
 * right after the call gets this run's value, even if it arrives later. Of many combinations of
 * shapes the 16 used last are kept.
 *
 * @param f builds the results from input tensors; its JavaScript runs at tracing only
 */
export function compile<I extends Inputs, O extends Outputs>(
  f: (inputs: InputTensors<I>) => O,
): Compiled<I, O> {
  const traces = new LeastRecent<Trace<O>>(MOST_TRACES, (trace) => {
    trace.program.release();
    for (const t of [...Object.values(trace.inputs), ...trace.own]) t.dispose();
  });
  let last: Trace<O> | undefined;
  let queue: Promise<unknown> = Promise.resolve();

  /** The trace for these inputs, with their values uploaded. */
  const prepare = async (inputs: HostInputs<I>): Promise<Trace<O>> => {
    const given = Object.entries<HostTensor>(inputs);
    const key = given.map(([name, x]) => signature(name, x)).join(";");
    let trace = traces.get(key);
    if (trace && !trace.program.isCurrent()) {
      traces.delete(key);
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
      await currentSession().run(trace.program, false);
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
    t.storage = allocate(gpu, bytesOf(t), name, "plan");
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
    const executable = await Executable.create(gpu, plan(roots));
    const program = await executable.bind((t) => upload(gpu, t));
    return { program, inputs, ...settle(traced, program) };
  } catch (error) {
    for (const t of Object.values(inputs)) t.dispose();
    throw error;
  }
}

/** The traced results as leaves that show the plan's memory. */
function settle<O extends Outputs>(traced: O, program: Program): { outputs: O; own: Tensor[] } {
  const own: Tensor[] = [];
  let i = 0;
  const leaf = (t: Tensor): Tensor => {
    const storage = program.results[i++];
    if (t.node.op === "leaf") return t;
    const out = placeholder(t.shape, t.dtype, t.name);
    out.storage = storage;
    own.push(out);
    return out;
  };
  const outputs = Object.fromEntries(
    Object.entries(traced).map((
      [name, x],
    ) => [name, x instanceof Tensor ? leaf(x) : x.map(leaf)]),
  ) as unknown as O;
  return { outputs, own };
}
