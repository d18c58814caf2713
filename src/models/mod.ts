/**
 * Vision-language models: configurations and presets, the model itself, published models (Llama,
 * Phi-3, Mixtral, CLIP, SigLIP, LLaVA), upcycling, accounting, and weight files.
 *
 * @module
 */
export * from "./ablate.ts";
export type { GenerationConfig, PreprocessorFile, TokenizerFiles } from "./checkpoint_files.ts";
export {
  type Checkpoint,
  type CheckpointDifference,
  type CheckpointEntry,
  openCheckpoint,
} from "./checkpoint_folder.ts";
export * from "./cached_language.ts";
export * from "./config.ts";
export * from "./encoder.ts";
export { type DeviceLimits, limitsOf } from "./device_limits.ts";
export * from "./experts_named.ts";
export * from "./extract.ts";
export * from "./flops.ts";
export { hubCheckpoint, type HubId, hubId, type HubOptions } from "./hub.ts";
export type { DownloadOptions } from "./hub_download.ts";
export {
  type EndReason,
  generate,
  type Generated,
  type GeneratedPiece,
  type GenerateOptions,
  generateSteps,
  type Prompt,
  streamText,
} from "./generate.ts";
export * from "./image_tokens.ts";
export * from "./kv_cache.ts";
export * from "./llava.ts";
export * from "./load_published.ts";
export * from "./load_weights.ts";
export * from "./joined_weights.ts";
export * from "./lvlm.ts";
export { type MemoryOptions, MemoryPlan, type MemoryRow, plan } from "./memory_plan.ts";
export * from "./merge.ts";
export type { LanguageOwner, PublishedLvlm, Remade } from "./model_tree.ts";
export * from "./multimodal.ts";
export * from "./multiscale.ts";
export * from "./pretrained.ts";
export * from "./published.ts";
export {
  LANGUAGE_TYPES,
  languageConfig,
  type PublishedConfig,
  ropeScaling,
} from "./published_config.ts";
export {
  applyPublishedLanguage,
  type PublishedInputs,
  type PublishedLanguage,
  publishedLanguage,
  type Weights,
} from "./published_language.ts";
export { publishedShapes, type ShapeOf } from "./published_shapes.ts";
export * from "./published_tokenizer.ts";
export * from "./published_summary.ts";
export * from "./published_vision.ts";
export * from "./rope.ts";
export * from "./safetensors.ts";
export type { Described } from "./safetensors_layout.ts";
export {
  type StreamedTensor,
  streamSafetensors,
  streamWeights,
  type WrittenWeights,
} from "./safetensors_stream.ts";
export { sampleToken, type SamplingOptions } from "./sampling.ts";
export * from "./stream_layers.ts";
export { type CountedConfig, summarize, type Summary, type SummaryRow } from "./summary.ts";
export { checkpointTemplate, ownTemplate } from "./template_choice.ts";
export * from "./templates.ts";
export {
  IMAGE_PLACEHOLDER,
  lvlmTextModel,
  seeImages,
  type TextModel,
  textModel,
  type TextTokenizer,
  type WordsTokenizer,
} from "./text_model.ts";
export { StopStrings, TextPieces, type TokenDecoder } from "./text_stream.ts";
export * from "./upcycle.ts";
export * from "./upcycle_published.ts";
export * from "./vision_tower.ts";
export * from "./weights.ts";
export * from "./write_published.ts";
