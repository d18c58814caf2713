/**
 * Training: AdamW, schedules, recipes in stages, checkpoints that resume to the bit, and the
 * miniature pretraining of backbones.
 *
 * @module
 */
export * from "./checkpoint.ts";
export * from "./example_batches.ts";
export * from "./fit.ts";
export * from "./fit_published.ts";
export * from "./flat_parameters.ts";
export * from "./gradients.ts";
export * from "./loop.ts";
export * from "./loss_scale.ts";
export * from "./optimizer.ts";
export * from "./pretrain.ts";
export * from "./published_batches.ts";
export * from "./recipe.ts";
export * from "./recipes.ts";
export * from "./routing_extras.ts";
export * from "./routing_reader.ts";
export * from "./schedule.ts";
export * from "./settings.ts";
export * from "./sgd.ts";
export * from "./stages.ts";
export * from "./step.ts";
export * from "./token_classes.ts";
