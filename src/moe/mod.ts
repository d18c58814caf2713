/**
 * Mixture of experts: pool tables (who may use which expert), the feed-forward layer that follows
 * them, and the losses that keep experts in use.
 *
 * @module
 */
export * from "./balance.ts";
export { droppedCounts } from "./capacity.ts";
export * from "./feed_forward.ts";
export * from "./routing.ts";
export * from "./table.ts";
export * from "./variants.ts";
