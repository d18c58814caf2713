/**
 * Published language models by their own names of weights: Llama, Phi-3, Mixtral, and the paper
 * authors' mixture on Phi-3. They become this library's language model, so that what is compared is
 * the code that everybody uses.
 *
 * @module
 */
import type { Language, LvlmConfig } from "../../models/mod.ts";
import { checkTable, dense, type FeedForward, type PoolTable, vanillaMoe } from "../../moe/mod.ts";
import { cat, repeatInterleave, reshape, split, stack, type Tensor } from "../../tensor/mod.ts";
import { Skip } from "./case.ts";

/** The published configuration, as far as it matters here. */
export interface PublishedConfig {
  readonly model_type: string;
  readonly vocab_size: number;
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly num_key_value_heads?: number;
  readonly head_dim?: number;
  readonly rms_norm_eps: number;
  readonly rope_theta: number;
  readonly rope_scaling?: unknown;
  readonly sliding_window?: unknown;
  readonly hidden_act: string;
  readonly attention_bias?: boolean;
  readonly mlp_bias?: boolean;
  readonly num_experts_per_tok?: number;
  /** Coefficients of the balancing losses: of Mixtral, of the authors' vision and text routers. */
  readonly router_aux_loss_coef?: number;
  readonly vis_router_aux_loss_coef?: number;
  readonly lan_router_aux_loss_coef?: number;
}

/** A model made of given leaves. */
export interface PublishedModel {
  readonly config: Pick<LvlmConfig, "language" | "visionBoundary">;
  readonly language: Language;
  /** Coefficients of the balancing losses, by router; empty for a dense model. */
  readonly coefficients: readonly number[];
}

/** Refuses configurations that the library's language model cannot express. */
function checkConfig(c: PublishedConfig): void {
  if (!["llama", "phi3", "mixtral"].includes(c.model_type)) {
    throw new Skip(`no ${c.model_type} model here`);
  }
  if (c.rope_scaling) throw new Skip("rotary embedding is not scaled here");
  if (c.sliding_window) throw new Skip("no sliding window here");
  if (c.hidden_act !== "silu") throw new Skip(`no experts with ${c.hidden_act} here`);
  if (c.attention_bias || c.mlp_bias) throw new Skip("no biases in language models here");
  if (c.head_dim && c.head_dim * c.num_attention_heads !== c.hidden_size) {
    throw new Skip("attention is as wide as the tokens here");
  }
}

/** The library's model with the weights of a published one. */
export function publishedModel(
  c: PublishedConfig,
  weights: ReadonlyMap<string, Tensor>,
): PublishedModel {
  checkConfig(c);
  const get = (name: string): Tensor => {
    const t = weights.get(name);
    if (!t) throw new RangeError(`the weights lack "${name}"`);
    return t;
  };
  const layers = Array.from({ length: c.num_hidden_layers }, (_, i) => `model.layers.${i}`);
  const embedding = get("model.embed_tokens.weight");
  const coefficients = c.vis_router_aux_loss_coef !== undefined
    ? [c.lan_router_aux_loss_coef!, c.vis_router_aux_loss_coef]
    : c.router_aux_loss_coef !== undefined
    ? [c.router_aux_loss_coef]
    : [];
  return {
    coefficients,
    config: {
      visionBoundary: "shifted",
      language: {
        vocabulary: c.vocab_size,
        width: c.hidden_size,
        layers: c.num_hidden_layers,
        heads: c.num_attention_heads,
        hidden: c.intermediate_size,
        ropeBase: c.rope_theta,
        epsilon: c.rms_norm_eps,
      },
    },
    language: {
      embedding,
      blocks: layers.map((layer) => ({
        norm1: { weight: get(`${layer}.input_layernorm.weight`) },
        attention: {
          qkv: { weight: projections(c, weights, `${layer}.self_attn`) },
          output: { weight: get(`${layer}.self_attn.o_proj.weight`) },
        },
        norm2: { weight: get(`${layer}.post_attention_layernorm.weight`) },
        ffn: feedForward(c, weights, layer, get),
      })),
      norm: { weight: get("model.norm.weight") },
      head: { weight: weights.get("lm_head.weight") ?? embedding },
    },
  };
}

/** The three projections in one matrix; key heads that serve several query heads are repeated. */
function projections(
  c: PublishedConfig,
  weights: ReadonlyMap<string, Tensor>,
  prefix: string,
): Tensor {
  const heads = c.num_attention_heads, keyHeads = c.num_key_value_heads ?? heads;
  const size = c.hidden_size / heads;
  const joined = weights.get(`${prefix}.qkv_proj.weight`);
  const [q, k, v] = joined
    ? split(joined, [heads * size, keyHeads * size, keyHeads * size])
    : ["q", "k", "v"].map((name) => weights.get(`${prefix}.${name}_proj.weight`)!);
  if (keyHeads === heads) return joined ?? cat([q, k, v]);
  const repeated = (x: Tensor) =>
    reshape(
      repeatInterleave(reshape(x, [keyHeads, size, c.hidden_size]), heads / keyHeads, 0),
      [heads * size, c.hidden_size],
    );
  return cat([q, repeated(k), repeated(v)]);
}

/** Dense, Mixtral's experts, or the authors' with a router for each modality. */
function feedForward(
  c: PublishedConfig,
  weights: ReadonlyMap<string, Tensor>,
  layer: string,
  get: (name: string) => Tensor,
): FeedForward {
  const topK = c.num_experts_per_tok ?? 1;
  const expert = (prefix: string, [gate, up, down]: readonly string[]) => ({
    gateUp: weights.get(`${prefix}.gate_up_proj.weight`) ??
      cat([get(`${prefix}.${gate}.weight`), get(`${prefix}.${up}.weight`)]),
    down: get(`${prefix}.${down}.weight`),
  });
  const joined = (table: PoolTable, routers: Tensor[], experts: ReturnType<typeof expert>[]) => ({
    table,
    routers,
    gateUp: stack(experts.map((e) => e.gateUp)),
    down: stack(experts.map((e) => e.down)),
  });
  const numbered = (prefix: string, names: readonly string[]) => {
    const found = [];
    while (weights.has(`${prefix}.${found.length}.${names[2]}.weight`)) {
      found.push(expert(`${prefix}.${found.length}`, names));
    }
    return found;
  };
  const sparse = `${layer}.block_sparse_moe`, mlp = `${layer}.mlp`;
  const names = ["gate_proj", "up_proj", "down_proj"];
  if (weights.has(`${sparse}.gate.weight`)) {
    const experts = numbered(`${sparse}.experts`, ["w1", "w3", "w2"]);
    const table = vanillaMoe({ experts: experts.length, topK });
    return joined(table, [get(`${sparse}.gate.weight`)], experts);
  }
  if (weights.has(`${mlp}.gate_vis.weight`)) {
    const text = get(`${mlp}.gate.weight`), image = get(`${mlp}.gate_vis.weight`);
    const experts = numbered(`${mlp}.experts`, names);
    const table = authorsTable(experts.length, text.shape[0], image.shape[0], topK);
    return joined(table, [text, image], experts);
  }
  return joined(dense(), [], [expert(mlp, names)]);
}

/** The authors' order of experts: vision, shared, language; the pools are their ends. */
function authorsTable(count: number, text: number, image: number, topK: number): PoolTable {
  const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);
  const vision = range(0, image), language = range(count - text, count);
  return checkTable({
    variant: "moiie",
    experts: range(0, count).map((e) => {
      const shared = vision.includes(e) && language.includes(e);
      const group = shared ? "shared" : vision.includes(e) ? "vision" : "language";
      return { name: `E${e + 1}`, group } as const;
    }),
    pools: [
      { modality: "text", experts: language, router: 0 },
      { modality: "image", experts: vision, router: 1 },
    ],
    topK,
    renormalise: true,
  });
}
