/**
 * Layers as plain trees of parameters, and the functions that apply them.
 *
 * @module
 */
export * from "./layers.ts";
export * from "./parameters.ts";
