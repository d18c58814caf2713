/**
 * Studying models: accuracy per family with intervals, the model's answers, the experts its tokens
 * choose, and self-contained reports.
 *
 * @module
 */
export * from "./database.ts";
export * from "./evaluate.ts";
export * from "./grid.ts";
export * from "./report.ts";
export * from "./routing.ts";
export type { ExpertName, LayerCounts, ModalityCounts, RoutingSummary } from "./routing_summary.ts";
export * from "./runner.ts";
export * from "./statistics.ts";
export * from "./variants.ts";
