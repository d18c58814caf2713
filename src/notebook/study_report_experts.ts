/** Experts and parameters as parts of a report. */
import { publishedModel } from "../models/mod.ts";
import { moiie } from "../moe/mod.ts";
import { expertAnalysis, pathFlow, pathways } from "../plot/mod.ts";
import {
  expertScores,
  expertScoresTable,
  loadTable,
  PAPER_ROWS,
  pathInputs,
  REFERENCE,
  routingOf,
  type RunAnalysis,
  type RunRecord,
  type Section,
  type Study,
  type StudyResults,
} from "../study/mod.ts";
import { accountingTable, foundInParameters, timeTable } from "./cost.ts";
import { figureSection, listSection, tableSection, textSection } from "./report_sections.ts";
import {
  balanceFigure,
  parameterFigure,
  routingFigure,
  trainingLoadFigure,
} from "./study_figures.ts";
import { paperTable } from "./study_tables.ts";
import { table } from "./table.ts";

/** Variants whose routing is drawn, if it was recorded. */
const ROUTED = [REFERENCE, "vanilla", "modality-routed", "moiie-full"];

/** What the experts of a study's runs do: routing, balance, and single experts where analysed. */
export async function expertSections(
  results: StudyResults,
  study: Study,
  analyses: readonly RunAnalysis[],
): Promise<Section[]> {
  const routed = ROUTED.flatMap((name) => {
    const variant = study.variants.find((v) => v.name === name);
    const run = results.runs.find((r) => r.variant === name && hasExperts(r));
    return variant && run ? [{ ...variant, run }] : [];
  });
  const sections: Section[] = [{ kind: "text", heading: "Experts", text: ROUTING }];
  for (const { name, label } of routed) {
    sections.push(await figureSection(`Activated experts: ${label}`, routingFigure(results, name)));
  }
  const balance = loadTable(results, study), [first] = routed;
  if (balance.rows.length === 0) {
    sections.push(textSection(undefined, "Not recorded: no run at hand has a choice of experts."));
  }
  if (first) {
    const figure = balanceFigure(results, first.name, `Balance of the experts: ${first.label}`);
    sections.push(await figureSection("Balance of the experts", figure));
  }
  if (balance.rows.length > 0) sections.push(tableSection(undefined, balance));
  if (first) {
    const figure = trainingLoadFigure(results, first.name);
    sections.push(await figureSection("Load of the experts over training", figure, LOAD));
  }
  if (first) sections.push(await pathwaySection(results, first.run, first.label));
  return [...sections, ...await analysisSections(analyses)];
}

const ROUTING = "Which experts the tokens of held-out questions (val) choose. A router without " +
  "preference would use the experts of its pool alike. The numbers of experts mean nothing across " +
  "seeds, so over seeds they are ordered by use.";

const LOAD = "One run, single training batches, image and text tokens apart.";

const hasExperts = ({ routing }: RunRecord): boolean =>
  routing.some(({ layers }) => layers.length > 0);

/** Image and text tokens through the layers: of one run, as experts of two have nothing in common. */
async function pathwaySection(
  results: StudyResults,
  run: RunRecord,
  label: string,
): Promise<Section> {
  const figure = pathways(routingOf(results, run), {
    title: `Token pathways: ${label}, seed ${run.seed}`,
  });
  return await figureSection("Token pathways", figure, "One run: its experts, layer by layer.");
}

/** Single experts alone, the model without them, and token paths (paper, table 6). */
async function analysisSections(analyses: readonly RunAnalysis[]): Promise<Section[]> {
  const begin: Section = { kind: "text", heading: "Single experts", text: SINGLE };
  const paper = tableSection("The paper's table 6", paperTable("table 6"));
  if (analyses.length === 0) {
    return [begin, textSection(undefined, "Not recorded yet: no run at hand was analysed."), paper];
  }
  const sections: Section[] = [begin];
  for (const [variant, mine] of Map.groupBy(analyses, (a) => a.variant)) {
    const [{ label, seed }] = mine;
    sections.push(
      tableSection(label, expertScoresTable(mine, variant)),
      await figureSection(undefined, expertAnalysis(expertScores(mine, { variant }))),
      await figureSection(undefined, pathFlow(pathInputs(mine[0])), `${label}, seed ${seed}.`),
    );
  }
  const names = new Set(analyses.map((a) => a.variant));
  if (PAPER_ROWS.every((row) => names.has(row.variant))) {
    const scores = expertScores(analyses, { variant: REFERENCE, rows: PAPER_ROWS });
    sections.push(
      await figureSection("From two models, as in the paper", expertAnalysis(scores), FROM_TWO),
    );
  }
  return [...sections, paper];
}

const SINGLE =
  "What is left of a model with one kind of expert only, as a dense model and without " +
  "further training, and what is lost without it.";
const FROM_TWO = "Visual and textual experts of the modality MoE, shared experts of MoIIE.";

/** Parameters and time of the variants that differ in them, and of the paper's models. */
export async function parameterSections(results: StudyResults, study: Study): Promise<Section[]> {
  const sizes = sized(results, study);
  const rows = sizes.variants.map(({ name, label }) => {
    const { total, active } = results.variants.find((v) => v.name === name)!.parameters;
    return [label, count(total), count(active), `${(100 * active / total).toFixed(1)}`];
  });
  const caption = "Vision encoder, connector and embeddings count as used, as in the paper. " +
    "Variants that differ in data, recipe or coefficient only have the same parameters.";
  const published = [
    { name: "MoIIE-A5B", config: publishedModel("phi-3-mini", moiie()) },
    { name: "MoIIE-A11B", config: publishedModel("llama3-8b", moiie()) },
  ];
  const sentences = foundInParameters().text.split("\n").map((line) => line.replace(/^- /, ""));
  return [
    {
      kind: "text",
      heading: "Parameters and cost",
      text: "What a model has, and what one token uses of it.",
    },
    tableSection("Here", table(["variant", "parameters", "used by a token", "%"], rows, caption)),
    await figureSection(undefined, parameterFigure(results, sizes)),
    tableSection("Time here", timeTable(results, sizes)),
    tableSection("The paper's models, counted here", accountingTable(published)),
    ...listSection(undefined, sentences),
    tableSection("The paper's table 2", paperTable("table 2")),
  ];
}

const count = (n: number): string => n.toLocaleString("en-US");

/** One variant of each architecture. */
function sized(results: StudyResults, study: Study): Study {
  const variants = study.variants.filter(({ name, dataShare, settings, recipe, blind }) =>
    dataShare === undefined && !settings && !recipe && !blind &&
    results.variants.some((v) => v.name === name)
  );
  return { ...study, variants };
}
