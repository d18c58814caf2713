/**
 * Whole models as Bunny's code saves them, and with it that of the paper's authors, which is a fork of
 * it: the language model's own names, with the connector and the vision tower among them. They are read
 * as the LLaVA models that they are but for names.
 *
 * A language model alone under one of their types is read as the Phi-3 or Llama that it is. (Their
 * converter writes one without routers, which their training draws at random: upcycle the dense model
 * instead.)
 *
 * Names and features: BAAI-DCAI/Bunny, bunny/model/bunny_arch.py, multimodal_encoder/siglip and clip,
 * multimodal_projector/builder.py. Features of several scales (`use_s2`): multimodal_encoder/builder.py and
 * the class `SiglipVisionTowerS2` of multimodal_encoder/siglip/siglip_encoder.py there. Model types of
 * mixtures: AlenjandroWang/MoIIE, README.md and the converter that it calls.
 */
import { basename } from "node:path";
import type { PreprocessorFile } from "./checkpoint_files.ts";
import type { Checkpoint } from "./checkpoint_folder.ts";
import { partOf, type PublishedConfig, sizeIn, withDefaults } from "./published_config.ts";

/** Beginnings of names, there and in a LLaVA; all others are the language model's. */
const PREFIXES: readonly (readonly [there: string, llava: string])[] = [
  ["model.vision_tower.vision_tower.", "vision_tower."],
  ["model.mm_projector.0.", "multi_modal_projector.linear_1."],
  ["model.mm_projector.2.", "multi_modal_projector.linear_2."],
  ["", "language_model."],
];

/** Vision towers that `mm_vision_tower` may name, as their own `config.json` describe them. */
const TOWERS: Readonly<Record<string, PublishedConfig>> = {
  "siglip-so400m-patch14-384": {
    model_type: "siglip_vision_model",
    hidden_size: 1152,
    intermediate_size: 4304,
    num_hidden_layers: 27,
    num_attention_heads: 16,
    image_size: 384,
    patch_size: 14,
  },
  "clip-vit-large-patch14-336": {
    model_type: "clip_vision_model",
    hidden_size: 1024,
    intermediate_size: 4096,
    num_hidden_layers: 24,
    num_attention_heads: 16,
    image_size: 336,
    patch_size: 14,
  },
};

/** How these towers' own `preprocessor_config.json` prepare pictures: whole models are saved without. */
const PREPROCESSORS: Readonly<Record<string, PreprocessorFile>> = {
  "siglip-so400m-patch14-384": {
    image_processor_type: "SiglipImageProcessor",
    size: { height: 384, width: 384 },
    resample: 3,
    image_mean: [0.5, 0.5, 0.5],
    image_std: [0.5, 0.5, 0.5],
  },
  "clip-vit-large-patch14-336": {
    image_processor_type: "CLIPImageProcessor",
    size: { shortest_edge: 336 },
    crop_size: { height: 336, width: 336 },
    resample: 3,
    image_mean: [0.48145466, 0.4578275, 0.40821073],
    image_std: [0.26862954, 0.26130258, 0.27577711],
  },
};

/** Scales of S² if the configuration names none, as in the published code. */
const S2_SCALES = "384,768,1152";

/** Where the configuration of the LLaVA says of which type its checkpoint was. */
const OWN_TYPE = "source_model_type";

/** A whole model of this layout with the names and the configuration of a LLaVA, others as they are. */
export function asLlava(checkpoint: Checkpoint): Checkpoint {
  if (!checkpoint.has("model.mm_projector.0.weight")) return asLanguageModel(checkpoint);
  const names = new Map(checkpoint.names.map((name) => {
    const [there, llava] = PREFIXES.find(([there]) => name.startsWith(there))!;
    return [llava + name.slice(there.length), name];
  }));
  const there = (name: string): string => names.get(name) ?? name;
  return {
    ...checkpoint,
    names: [...names.keys()],
    has: (name) => names.has(name),
    entry: (name) => checkpoint.entry(there(name)),
    tensor: (name) => checkpoint.tensor(there(name)),
    float32: (name) => checkpoint.float32(there(name)),
    readInto: (name, offset, into) => checkpoint.readInto(there(name), offset, into),
    compare: (expected) => {
      const llava = (name: string) => [...names].find(([, own]) => own === name)?.[0] ?? name;
      const own = new Map([...expected].map(([name, shape]) => [there(name), shape]));
      const { missing, extra, misshapen } = checkpoint.compare(own);
      return {
        missing: missing.map(llava),
        extra: extra.map(llava),
        misshapen: misshapen.map((one) => ({ ...one, name: llava(one.name) })),
      };
    },
    ownName,
    config: () => llavaConfig(checkpoint.config()),
    preprocessor: () => preprocessorOf(checkpoint.config(), checkpoint.preprocessor()),
  };
}

/** A language model of this layout, without connector and tower, under its plain type. */
function asLanguageModel(checkpoint: Checkpoint): Checkpoint {
  const config = checkpoint.json("config.json"), type = config && languageType(config);
  if (!type || !isBunny(config.model_type)) return checkpoint;
  return {
    ...checkpoint,
    ownName: (name) => name,
    config: () => ({ ...checkpoint.config(), model_type: type }),
  };
}

const isBunny = (type: unknown): boolean => String(type).startsWith("bunny-");

/**
 * The plain type of the language model that a `model_type` such as `bunny-mm-phi3-moe-s` names; undefined
 * if it is of another kind.
 *
 * @throws {RangeError} if it has experts of the authors' other mixtures.
 */
function languageType(config: PublishedConfig): string | undefined {
  const type = /phi3|mixtral|llama/.exec(String(config.model_type))?.[0];
  const isOther = config.num_vis_experts !== undefined ||
    (config.num_experts !== undefined && config.vis_router_aux_loss_coef === undefined);
  if (!type || !isOther || !isBunny(config.model_type)) return type;
  throw new RangeError(
    `config.json of ${config.model_type}: of the authors' mixtures MoIIE is read, with one router for ` +
      `image and one for text tokens over shared experts; not those with one router for all tokens, or ` +
      `with experts of their own for each modality`,
  );
}

/**
 * What a `config.json` of this layout calls a language model, dense or with the authors' experts.
 *
 * @param type its plain type
 */
export function bunnyTypes(
  type: string,
  isMixture: boolean,
): { model_type: string; architectures: string[] } {
  const isPhi3 = type === "phi3";
  if (!isMixture) {
    return isPhi3
      ? { model_type: "bunny-phi3", architectures: ["BunnyPhi3ForCausalLM"] }
      : { model_type: "bunny-llama", architectures: ["BunnyLlamaForCausalLM"] };
  }
  return isPhi3
    ? { model_type: "bunny-mm-phi3-moe-s", architectures: ["BunnyMMSPhi3MoEForCausalLM"] }
    : { model_type: "bunny-mm-llama3-moe-s", architectures: ["BunnyMMSLlamaMoEForCausalLM"] };
}

/** The name in this layout of a LLaVA's tensor. */
function ownName(name: string): string {
  const [there, llava] = PREFIXES.find(([, llava]) => name.startsWith(llava)) ?? ["", ""];
  return there + name.slice(llava.length);
}

/**
 * How pictures are prepared. Models of several scales are given pictures of the largest one, whatever the
 * tower's own file says.
 */
function preprocessorOf(
  config: PublishedConfig,
  file: PreprocessorFile | undefined,
): PreprocessorFile | undefined {
  const known = file ?? PREPROCESSORS[towerName(config)];
  const side = config.use_s2 ? s2Scales(config).at(-1)! : undefined;
  return known && side ? { ...known, size: { height: side, width: side } } : known;
}

/** The tower's name, of a path to it the last part. */
function towerName({ mm_vision_tower: tower }: PublishedConfig): string {
  return basename(String(tower).replace(/[/\\]+$/, ""));
}

/** The sizes at which a model with `use_s2` looks at pictures. @throws {SyntaxError} if they are none. */
function s2Scales({ s2_scales: given = S2_SCALES }: PublishedConfig): number[] {
  const scales = String(given).split(",").map(Number).sort((a, b) => a - b);
  if (scales.every((scale) => Number.isInteger(scale) && scale > 0)) return scales;
  throw new SyntaxError(
    `config.json: s2_scales should be sizes as in "${S2_SCALES}", it is ${JSON.stringify(given)}`,
  );
}

/**
 * The `config.json` of the LLaVA that a model of this layout is.
 *
 * The vision tower is described by a `vision_config`, if there is one, else by the name in
 * `mm_vision_tower`. Pictures stand in texts where the last token of the vocabulary does, which no text
 * of a Phi-3 or Llama 3 has; the published code uses −200 there, which is none.
 *
 * @throws {RangeError} if the tower, the connector or the language model is of an unknown kind.
 */
export function llavaConfig(config: PublishedConfig): PublishedConfig {
  const type = languageType(config);
  const refuse = (what: string) =>
    new RangeError(`config.json of ${config.model_type}: ${what} is not supported here`);
  if (!type) throw refuse("this language model with a connector");
  const connector = config.mm_projector_type ?? "mlp2x_gelu";
  if (connector !== "mlp2x_gelu") throw refuse(`mm_projector_type "${connector}"`);
  const name = towerName(config);
  const vision = config.vision_config ?? TOWERS[name];
  if (!vision) {
    throw refuse(
      `mm_vision_tower "${name}" (known are ${Object.keys(TOWERS).join(", ")}) without a ` +
        `vision_config, which can be taken from that tower's config.json,`,
    );
  }
  const { vision_config: _, ...rest } = config, text = { ...rest, model_type: type };
  const isClip = (vision as PublishedConfig).model_type === "clip_vision_model";
  if (isClip && config.use_s2) throw refuse("use_s2 with a CLIP tower, as in the published code,");
  return {
    model_type: "llava",
    text_config: text,
    vision_config: vision,
    image_token_index: sizeIn(withDefaults(text, [type]), "vocab_size") - 1,
    projector_hidden_act: "gelu",
    vision_feature_layer: -2,
    vision_feature_select_strategy: isClip ? "default" : "full",
    ...(config.use_s2 ? { vision_feature_scales: s2Scales(config) } : {}),
    [OWN_TYPE]: config.model_type,
  };
}

/**
 * Name of the template that a whole model of this layout was trained with, see `CHAT_TEMPLATES`;
 * undefined for other models. The authors' models and Bunny's own differ on LLaMA-3.
 *
 * @param config that of the LLaVA that it is @param isMixture whether it has the authors' experts
 */
export function bunnyTemplate(config: PublishedConfig, isMixture: boolean): string | undefined {
  if (!isBunny(config[OWN_TYPE])) return undefined;
  const text = partOf(config, "text_config");
  if (text.model_type === "phi3") return isMixture ? "phi3" : "bunny";
  return isMixture ? "llama" : "bunny-llama";
}

/**
 * What is done to pictures that are not square before this layout's models see them: `pad` if its
 * `image_aspect_ratio` says so (`process_images` of bunny/util/mm_utils.py), else `square`.
 */
export function bunnyAspect(config: PublishedConfig): "pad" | "square" {
  if (config[OWN_TYPE] === undefined) return "square";
  return partOf(config, "text_config").image_aspect_ratio === "pad" ? "pad" : "square";
}
