/** Models after their first stage beside finished ones: what the connector alone gives. */
import { dense } from "../moe/mod.ts";
import type { StudyResults, VariantRecord } from "./results.ts";
import type { Variant } from "./variants.ts";

/**
 * A model after its first stage, as a row beside those after the last one: the language model is still
 * the dense pretrained one, the connector has learned captions, nothing has been trained on questions.
 */
export const FIRST_STAGE: Variant = {
  name: "connector",
  label: "after stage 1",
  ffn: dense(),
  placement: "none",
};

/**
 * The results with one variant more, {@linkcode FIRST_STAGE}, whose runs are the shared first stages:
 * with it they stand in tables, figures and findings as any other. Results that hold no answers after
 * the first stage come back as they are.
 */
export function withFirstStage(results: StudyResults): StudyResults {
  const stages = results.connectors.flatMap(({ answers, ...rest }) =>
    answers === undefined ? [] : [{ answers, ...rest }]
  );
  const model = results.variants[0];
  if (stages.length === 0 || !model) return results;
  const variant: VariantRecord = {
    name: FIRST_STAGE.name,
    label: FIRST_STAGE.label,
    parameters: { total: 0, active: 0 },
    config: { ...model.config, ffn: FIRST_STAGE.ffn, placement: "none", recipe: "two-stage" },
  };
  const runs = stages.map(({ id, seed, seconds, curves, answers }) => ({
    id,
    variant: FIRST_STAGE.name,
    seed,
    device: results.devices[0],
    code: "",
    seconds,
    answers,
    curves,
    routing: [],
  }));
  return { ...results, variants: [variant, ...results.variants], runs: [...runs, ...results.runs] };
}
