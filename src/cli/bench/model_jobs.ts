/** Benchmark jobs of layers and of whole training steps. */
import { applyAttention, applyMlp, applyNorm } from "../../nn/mod.ts";
import { makeAttention, makeMlp, makeNorm, parameters } from "../../nn/mod.ts";
import {
  applyFeedForward,
  dense,
  type FeedForward,
  makeFeedForward,
  modalityMoe,
  moiie,
  type PoolTable,
  vanillaMoe,
} from "../../moe/mod.ts";
import { lvlm, modelMixtures, modelParameters, upcycle } from "../../models/mod.ts";
import { emojiVqa } from "../../data/mod.ts";
import { AdamW, trainingStep, twoStage } from "../../train/mod.ts";
import {
  add,
  expand,
  gradients,
  iota,
  lessEqual,
  Random,
  sum,
  type Tensor,
  tensor,
} from "../../tensor/mod.ts";
import type { Job, PeerWork, Work } from "./job.ts";
import { compiledWork, normals } from "./tensor_jobs.ts";

/** Sizes of the transformer block. */
const BATCH = 8, TOKENS = 64, WIDTH = 128, HEADS = 4, HIDDEN = 512, EPSILON = 1e-5;

/** Forward and backward of a pre-norm block with causal attention. */
function block(): Work {
  const random = new Random(1, "bench");
  const layers = {
    norm1: makeNorm(WIDTH, { bias: true }),
    attention: makeAttention(random, WIDTH, HEADS, { bias: true }),
    norm2: makeNorm(WIDTH, { bias: true }),
    mlp: makeMlp(random, WIDTH, HIDDEN, WIDTH),
  };
  const x = normals(BATCH, TOKENS, WIDTH), all = parameters(layers);
  return compiledWork(
    () => {
      const causal = lessEqual(iota([TOKENS, TOKENS], 1), iota([TOKENS, TOKENS], 0));
      const mask = expand(causal, [BATCH, 1, TOKENS, TOKENS]);
      const attended = applyAttention(layers.attention, applyNorm(layers.norm1, x, EPSILON), {
        heads: HEADS,
        mask,
      });
      const h = add(x, attended);
      const loss = sum(add(h, applyMlp(layers.mlp, applyNorm(layers.norm2, h, EPSILON))));
      return [loss, ...gradients(loss, [x, ...all.values()])];
    },
    [x, ...all.values()],
    {
      kind: "block",
      inputs: { x, ...Object.fromEntries(all) },
      options: { heads: HEADS, epsilon: EPSILON },
    },
  );
}

/** Tokens of the mixture layer. */
const MOE_TOKENS = 1024;

/** A layer of experts, forward or forward and backward; half of the tokens are image tokens. */
function experts(table: PoolTable, backward: boolean): Work {
  const layer = makeFeedForward(new Random(1, "bench"), table, { width: WIDTH, hidden: HIDDEN });
  const x = normals(MOE_TOKENS, WIDTH);
  const modality = tensor(Int32Array.from({ length: MOE_TOKENS }, (_, i) => i % 2));
  const all = [...parameters(layer).values()];
  const build = () => {
    const { y } = applyFeedForward(layer, x, { modality });
    if (!backward) return [y];
    const loss = sum(y);
    return [loss, ...gradients(loss, [x, ...all])];
  };
  return compiledWork(build, [x, modality, ...all], expertsPeer(layer, { x, modality }, backward));
}

/** A layer of experts for PyTorch. */
export function expertsPeer(
  layer: FeedForward,
  inputs: { x: Tensor; modality: Tensor },
  backward: boolean,
): PeerWork {
  return {
    kind: "experts",
    inputs: { ...inputs, ...Object.fromEntries(parameters(layer)) },
    options: { ...choices(layer.table), backward },
  };
}

/** Who may use which expert, as it can be written down. */
function choices({ pools, topK }: PoolTable) {
  return { pools: pools.map(({ experts, router = null }) => ({ experts, router })), topK };
}

/** The second stage's training step of a preset. */
export async function step(table: PoolTable, preset: "tiny" | "small" = "tiny"): Promise<Work> {
  const model = await lvlm(preset, { ffn: table });
  if (table.experts.length > 1) await upcycle(model, new Random(1, "upcycle"));
  const stage = twoStage(await emojiVqa({ scale: preset })).stages[1];
  const all: Map<string, Tensor> = modelParameters(model);
  const rate = 1e-4, clipNorm = 1, auxiliary = 0.001;
  const optimizer = new AdamW([{ name: "all", parameters: all }], { clipNorm });
  const run = trainingStep(model, optimizer, { auxiliary });
  const batch = stage.inputs(model, 0), { vision, language } = model.config;
  const inputs = {
    ...batch,
    hyper: { data: optimizer.hyper(rate, 1), shape: optimizer.hyperShape },
  };
  const mixtures = modelMixtures(model);
  return {
    run: async () => {
      const { loss, auxiliary, gradientNorm } = await run(inputs);
      return [loss, auxiliary, gradientNorm];
    },
    flops: 0,
    bytes: 0,
    peer: {
      kind: mixtures.length > 0 ? "step with experts" : "step",
      inputs: {
        ...Object.fromEntries(all),
        ...Object.fromEntries(Object.entries(batch).map(([name, x]) => [`batch.${name}`, x])),
      },
      options: { vision, language, mixtures, ...choices(table), auxiliary, clipNorm, rate },
      dtypes: preset === "tiny" ? ["f32"] : ["f32", "bf16"],
      withValues: true,
    },
    dispose: () => {
      run.dispose();
      optimizer.dispose();
      for (const t of all.values()) t.dispose();
    },
  };
}

const LAYER = `${MOE_TOKENS} tokens, width ${WIDTH}, FFN ${HIDDEN}`;

/** Jobs of layers and training steps. */
export const MODEL_JOBS: readonly Job[] = [
  {
    name: "blk",
    what: `pre-norm causal block, forward and backward, batch ${BATCH}, ${TOKENS} tokens, width ` +
      `${WIDTH}, ${HEADS} heads, FFN ${HIDDEN}`,
    prepare: block,
  },
  {
    name: "moe",
    what: `vanilla MoE layer, forward and backward, ${LAYER}, 4 experts, top-2, SwiGLU`,
    prepare: () => experts(vanillaMoe(), true),
  },
  {
    name: "moe_fwd",
    what: `vanilla MoE layer, forward, ${LAYER}, 4 experts, top-2, SwiGLU`,
    prepare: () => experts(vanillaMoe(), false),
  },
  {
    name: "moiie_layer",
    what: `MoIIE layer, forward and backward, ${LAYER}, 1V + 1L + 2S, top-2, SwiGLU`,
    prepare: () => experts(moiie(), true),
  },
  {
    name: "lvlm_step",
    what: "training step of the README's model, tiny preset: what moiie_step is, again",
    prepare: () => step(moiie()),
  },
  { name: "dense_step", what: "training step, tiny preset, dense", prepare: () => step(dense()) },
  {
    name: "vanilla_step",
    what: "training step, tiny preset, vanilla MoE",
    prepare: () => step(vanillaMoe()),
  },
  {
    name: "modality_step",
    what: "training step, tiny preset, modality MoE (2V + 2L)",
    prepare: () => step(modalityMoe()),
  },
  {
    name: "moiie_step",
    what: "training step, tiny preset, MoIIE (1V + 1L + 2S)",
    prepare: () => step(moiie()),
  },
];
