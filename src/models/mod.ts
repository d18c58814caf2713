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
export * from "./lvlm.ts";
export * from "./pretrained.ts";
export * from "./safetensors.ts";
export * from "./summary.ts";
export * from "./upcycle.ts";
export * from "./weights.ts";
