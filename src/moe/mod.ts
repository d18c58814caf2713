/**
 * Mixture of experts: pool tables (who may use which expert), the feed-forward layer that follows
 * them, the losses that keep experts in use, and the records and measures of their use.
 *
 * @module
 */
export * from "./balance.ts";
export * from "./feed_forward.ts";
export * from "./metrics.ts";
export * from "./record.ts";
export * from "./routing.ts";
export * from "./routing_record.ts";
export * from "./specialisation.ts";
export * from "./table.ts";
export * from "./token_choices.ts";
export * from "./variants.ts";
