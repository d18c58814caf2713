/**
 * Figures as plain plotly specifications, and static pictures of them.
 *
 * Every figure function takes plain numbers and returns `{ data, layout }`; nothing here touches a
 * device or a notebook. Figures can be read without colour: lines differ in dash and marker, bars
 * in hatching, and every axis has a name.
 *
 * ```ts
 * import { describeFigure, lossCurve } from "@moiie/lab/plot";
 *
 * const records = [4.2, 3.1, 2.6, 2.4].map((loss, step) => ({ step, loss }));
 * console.log(describeFigure(lossCurve(records, { title: "Stage 1" })));
 * ```
 *
 * @module
 */

export * from "./accuracy_bars.ts";
export * from "./accuracy_by_family.ts";
export * from "./activation_proportions.ts";
export * from "./balance_metrics.ts";
export * from "./data_scale_curve.ts";
export type { Estimate, IntervalOptions } from "./estimate.ts";
export * from "./expert_analysis.ts";
export * from "./figure.ts";
export * from "./heat_map.ts";
export * from "./load_balance.ts";
export * from "./load_over_training.ts";
export * from "./loss_curve.ts";
export * from "./loss_curves.ts";
export { percent } from "./numbers.ts";
export * from "./paired_differences.ts";
export * from "./parameter_bars.ts";
export * from "./path_flow.ts";
export * from "./pathways.ts";
export {
  type ExpertName,
  type LayerCounts,
  type ModalityCounts,
  type RoutingSummary,
} from "../study/routing_summary.ts";
export * from "./sample_grid.ts";
export * from "./spectrograms.ts";
export * from "./static.ts";
export * from "./theme.ts";
