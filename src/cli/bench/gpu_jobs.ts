/**
 * Benchmark jobs that need a GPU: sizes of published models, which keep a CPU busy for minutes and do
 * not fit into its bindings. They run on GPUs, or where they are asked for.
 */
import { applyFeedForward, makeFeedForward, moiie } from "../../moe/mod.ts";
import { parameters } from "../../nn/mod.ts";
import {
  add,
  cast,
  evaluate,
  flashAttention,
  gradients,
  iota,
  matmul,
  mul,
  Random,
  reshape,
  sin,
  sizeOf,
  sum,
  type Tensor,
  tensor,
} from "../../tensor/mod.ts";
import type { Job, PeerType, Work } from "./job.ts";
import { expertsPeer, step } from "./model_jobs.ts";
import { compiledWork } from "./tensor_jobs.ts";

type Float = "f32" | "f16";

/** Element types in which PyTorch does what is done in one of ours. */
const peerTypes = (dtype: Float): PeerType[] => dtype === "f32" ? ["f32"] : ["f16", "bf16"];

/** Numbers between -1 and 1, made on the device: hundreds of millions take long on the host. */
async function waves(shape: readonly number[], dtype: Float = "f32"): Promise<Tensor> {
  const columns = shape.at(-1)!, flat = [sizeOf(shape) / columns, columns];
  const phase = add(
    mul(cast(iota(flat, 0), "f32"), 12.9898),
    mul(cast(iota(flat, 1), "f32"), 78.233),
  );
  const x = reshape(cast(sin(phase), dtype), shape);
  await evaluate(x);
  return x;
}

/** A square product of numbers of one type. */
export function typedProduct(n: number, dtype: Float): Job {
  return {
    name: `mm${n}${dtype === "f32" ? "" : `_${dtype}`}`,
    what: `matrix product, ${n} × ${n} × ${n}, ${dtype}`,
    prepare: async () => {
      const a = await waves([n, n], dtype), b = await waves([n, n], dtype);
      return compiledWork(() => [matmul(a, b)], [a, b], {
        kind: "matmul",
        inputs: { a, b },
        dtypes: peerTypes(dtype),
      });
    },
  };
}

/** Causal attention `[batch, heads, tokens, width]`, forward or forward and backward. */
export function largeAttention(name: string, shape: readonly number[], backward: boolean): Job {
  return {
    name,
    what: `causal attention, ${backward ? "forward and backward" : "forward"}, ${
      shape.join(" × ")
    }`,
    prepare: async () => {
      const inputs = await Promise.all([1, 2, 3].map(() => waves(shape)));
      const upstream = backward ? [await waves(shape)] : [];
      const [q, k, v] = inputs;
      return compiledWork(
        () => {
          const { output } = flashAttention(q, k, v, { causal: true });
          return [output, ...(backward ? gradients(output, inputs, upstream[0]) : [])];
        },
        [...inputs, ...upstream],
        {
          kind: "attention",
          inputs: { q, k, v, ...(backward && { upstream: upstream[0] }) },
          dtypes: ["f32", "bf16"],
        },
      );
    },
  };
}

/** A MoIIE layer, forward and backward; half of the tokens are image tokens. */
export function largeExperts(
  name: string,
  { tokens, width, hidden }: { tokens: number; width: number; hidden: number },
  dtype: Float,
): Job {
  return {
    name,
    what: `MoIIE layer, forward and backward, ${tokens} tokens, width ${width}, FFN ${hidden}, ` +
      `1V + 1L + 2S, top-2, SwiGLU, ${dtype}`,
    prepare: async (): Promise<Work> => {
      const layer = makeFeedForward(new Random(1, "bench"), moiie(), { width, hidden });
      const x = await waves([tokens, width], dtype);
      const modality = tensor(Int32Array.from({ length: tokens }, (_, i) => i % 2));
      const all = [...parameters(layer).values()];
      const work = compiledWork(
        () => {
          const loss = sum(cast(applyFeedForward(layer, x, { modality }).y, "f32"));
          return [loss, ...gradients(loss, [x, ...all])];
        },
        [x, modality, ...all],
        {
          ...expertsPeer(layer, { x, modality }, true),
          dtypes: peerTypes(dtype),
        },
      );
      // Gate, up and down of two experts for each token; the gradients take twice as much again.
      return { ...work, flops: 3 * tokens * 2 * 3 * 2 * width * hidden };
    },
  };
}

/** The paper's layer: the feed-forward of Phi-3-mini. */
const PAPER = { tokens: 4096, width: 3072, hidden: 8192 };

/** The jobs. */
export const GPU_JOBS: readonly Job[] = [
  typedProduct(4096, "f32"),
  typedProduct(4096, "f16"),
  largeAttention("attention_large_fwd", [16, 32, 1024, 128], false),
  largeAttention("attention_large", [16, 32, 1024, 128], true),
  largeExperts("moiie_layer_large", PAPER, "f32"),
  largeExperts("moiie_layer_large_f16", PAPER, "f16"),
  {
    name: "small_step",
    what: "training step, small preset, MoIIE (1V + 1L + 2S)",
    prepare: () => step(moiie(), "small"),
  },
];
