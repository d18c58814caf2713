/**
 * Studying models: accuracy per family with intervals, the model's answers, the experts its tokens
 * choose, and self-contained reports.
 *
 * @module
 */
export * from "./analysis.ts";
export * from "./analysis_figures.ts";
export * from "./analysis_store.ts";
export { type Chat, chat, type ChatOptions, type Miniature, type SayOptions } from "./chat.ts";
export * from "./database.ts";
export {
  type Claim,
  type Metric,
  type Origin,
  type RunResult,
  type RunRow,
  type RunStatus,
  type StagedRecord,
  STALE_SECONDS,
} from "./database_schema.ts";
export * from "./evaluate.ts";
export * from "./expert_findings.ts";
export * from "./expert_load.ts";
export * from "./expert_weights.ts";
export * from "./findings.ts";
export * from "./first_stage.ts";
export * from "./grid.ts";
export * from "./image_words.ts";
export * from "./paper_rows.ts";
export * from "./paper_tables.ts";
export * from "./paper_values.ts";
export * from "./recorded_results.ts";
export * from "./recorded_routing.ts";
export * from "./report.ts";
export * from "./result_files.ts";
export * from "./results.ts";
export * from "./routing.ts";
export * from "./routing_findings.ts";
export * from "./routing_tables.ts";
export type { ExpertName, LayerCounts, ModalityCounts, RoutingSummary } from "./routing_summary.ts";
export { keptModel, keptWeights } from "./run_weights.ts";
export * from "./runner.ts";
export * from "./statistics.ts";
export * from "./tables.ts";
export * from "./training_load.ts";
export * from "./variants.ts";
