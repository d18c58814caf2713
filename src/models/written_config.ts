/**
 * The `config.json` of a model that is written back: the file that it came from, with what changed.
 *
 * @module
 */
import { languageOf, type PublishedLvlm, publishedPart } from "./model_tree.ts";
import type { PublishedConfig } from "./published_config.ts";
import { type FeedForwardLayout, feedForwardLayout } from "./published_tensors.ts";

/** Fields of a configuration that change, and those that go. */
export interface ConfigChanges {
  /** New values. */
  readonly set: PublishedConfig;
  /** Names of fields that the model has no longer. */
  readonly remove: readonly string[];
}

/** Fields that only mixtures have. */
const MIXTURE_FIELDS = [
  "num_experts",
  "num_local_experts",
  "num_experts_per_tok",
  "router_aux_loss_coef",
  "lan_router_aux_loss_coef",
  "vis_router_aux_loss_coef",
  "output_router_logits",
  "output_lan_router_logits",
  "output_vis_router_logits",
  "router_jitter_noise",
];

/** A number that Python is to read as a float, also where it is whole. */
export const floatJson = (value: number): unknown =>
  Number.isInteger(value) ? rawJson(`${value}.0`) : value;

/** JSON text that stands for itself (ECMAScript's JSON.parse source text access, in V8 since 2023). */
const rawJson = (text: string): unknown =>
  (JSON as unknown as { rawJSON: (text: string) => unknown }).rawJSON(text);

/** Parses JSON so that writing it again keeps the text of its numbers: `8.0` stays a float. */
export function parseKeeping(text: string): Record<string, unknown> {
  const keep = (_: string, value: unknown, context?: { source?: string }) =>
    typeof value === "number" && context?.source !== undefined ? rawJson(context.source) : value;
  return JSON.parse(text, keep as (key: string, value: unknown) => unknown);
}

/** The one layout of all mixtures of a model; dense if it has none. @throws {RangeError} if several. */
export function layoutOf(model: PublishedLvlm): FeedForwardLayout {
  const { blocks } = languageOf(model);
  const kinds = new Set(blocks.map((b) => feedForwardLayout(b.ffn)));
  kinds.delete("dense");
  if (kinds.size > 1) throw new RangeError("writing: the model has mixtures of different kinds");
  return [...kinds][0] ?? "dense";
}

/** What a configuration says of experts. */
function layoutIn(config: PublishedConfig): FeedForwardLayout {
  if (config.model_type === "mixtral") return "mixtral";
  return config.vis_router_aux_loss_coef === undefined ? "dense" : "authors";
}

/** The class of transformers for a model type. */
const CLASSES: Readonly<Record<string, string>> = {
  llama: "LlamaForCausalLM",
  mixtral: "MixtralForCausalLM",
};

/**
 * What a language model's configuration must say differently from the one that it was made from.
 *
 * @param config the language model's part, as it was read
 * @throws {RangeError} if no published model type has such layers.
 */
export function configChanges(model: PublishedLvlm, config: PublishedConfig): ConfigChanges {
  const layout = layoutOf(model), before = layoutIn(config);
  const { blocks } = languageOf(model), { coefficients } = publishedPart(model);
  const table = blocks.find((b) => b.ffn.table.experts.length > 1)?.ffn.table;
  const count = config.num_local_experts ?? config.num_experts;
  const same = layout === before && (!table ||
    (count ?? table.experts.length) === table.experts.length &&
      (config.num_experts_per_tok ?? 2) === table.topK);
  // A published loss may be switched off, which reads as a coefficient of 0.
  if (same) return { set: {}, remove: [] };
  const type = config.model_type === "mixtral" ? "llama" : String(config.model_type);
  const typed = (name: string) =>
    name === config.model_type ? {} : {
      model_type: name,
      ...(config.architectures ? { architectures: [CLASSES[name]] } : {}),
    };
  if (config.model_type === "mixtral" && config.sliding_window) {
    throw new RangeError(
      "writing: outside of Mixtral, no model type known here has a sliding window beside Phi-3's",
    );
  }
  // Remote code of the hub is for the model as it was.
  const gone = [...MIXTURE_FIELDS, "auto_map"];
  const remove = gone.filter((name) => name in config);
  if (!table) return { set: typed(type), remove };
  const shared = { num_experts_per_tok: table.topK, router_jitter_noise: floatJson(0) };
  if (layout === "authors") {
    const [text, image] = table.pools;
    return {
      remove,
      set: {
        ...typed(type),
        ...shared,
        num_experts: table.experts.length,
        lan_router_aux_loss_coef: floatJson(coefficients[text.router!] ?? 0),
        vis_router_aux_loss_coef: floatJson(coefficients[image.router!] ?? 0),
        output_lan_router_logits: true,
        output_vis_router_logits: true,
      },
    };
  }
  const dense = blocks.findIndex((b) => b.ffn.table.experts.length === 1);
  if (type !== "llama" || dense >= 0 || config.attention_bias || config.rope_scaling) {
    const why = type !== "llama"
      ? `the model is a ${type}`
      : dense >= 0
      ? `layer ${dense} is dense`
      : "it has attention biases or a scaled rotary embedding";
    throw new RangeError(
      `writing "${table.variant}": one router for all tokens is Mixtral's, a Llama whose layers ` +
        `all have experts, but ${why}; write extractDense(model, "${table.experts[0].name}"), or ` +
        `use a table with a router for each modality`,
    );
  }
  return {
    remove,
    set: {
      ...typed("mixtral"),
      ...shared,
      num_local_experts: table.experts.length,
      router_aux_loss_coef: floatJson(coefficients[0] ?? 0),
      output_router_logits: true,
      sliding_window: null,
    },
  };
}

/**
 * What the authors' own code would not read of a model in their layout; empty if nothing.
 *
 * @param isOwnLayout whether tower and connector have the authors' names, too
 */
export function authorsLimits(model: PublishedLvlm, isOwnLayout: boolean): string[] {
  if (layoutOf(model) !== "authors") return [];
  const { blocks } = languageOf(model);
  const odd = blocks.every((b, i) => (b.ffn.table.experts.length > 1) === (i % 2 === 1));
  const { table } = blocks.find((b) => b.ffn.table.experts.length > 1)!.ffn;
  const groups = ["vision", "language", "shared"].map((group) =>
    table.experts.filter((e) => e.group === group).length
  );
  return [
    ...(odd ? [] : ["the authors' code has experts in the odd layers only"]),
    ...(groups.join() === "1,1,2"
      ? []
      : ["the authors' code is right for 1 vision, 1 language and 2 shared experts only"]),
    ...("text" in model && !isOwnLayout
      ? ["the authors' code keeps pictures in a model type of its own"]
      : []),
  ];
}
