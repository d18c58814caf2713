/**
 * Vision-language models: configurations and presets, the model itself, upcycling, accounting, and
 * weight files.
 *
 * @module
 */
export * from "./ablate.ts";
export * from "./config.ts";
export * from "./experts_named.ts";
export * from "./extract.ts";
export * from "./flops.ts";
export * from "./lvlm.ts";
export * from "./pretrained.ts";
export * from "./published.ts";
export * from "./safetensors.ts";
export { type CountedConfig, summarize, type Summary, type SummaryRow } from "./summary.ts";
export * from "./upcycle.ts";
export * from "./weights.ts";
