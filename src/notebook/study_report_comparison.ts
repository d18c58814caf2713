/** One comparison of a study as parts of a report. */
import {
  compareVariants,
  countFindings,
  type Finding,
  findings,
  FIRST_STAGE,
  loadFindings,
  type PaperPlace,
  REFERENCE,
  type Section,
  type Study,
  type StudyResults,
  studyTables,
  variantNamed,
  withFirstStage,
} from "../study/mod.ts";
import {
  figureSection,
  findingItems,
  listSection,
  tableSection,
  textSection,
} from "./report_sections.ts";
import {
  dataScaleFigure,
  differenceFigure,
  familyFigure,
  lossFigure,
  trainingLoadFigure,
} from "./study_figures.ts";
import { isRecorded, notRecorded, notSaid, paperTable, studyTable } from "./study_tables.ts";

/** What is asked, and where the paper answers. */
interface About {
  readonly question: string;
  readonly paper: readonly PaperPlace[];
}

const ABOUT: Readonly<Record<string, About>> = {
  main: {
    question:
      "At the same number of activated experts, is a mixture of intra- and inter-modality " +
      "experts (MoIIE) better than a dense model, than a mixture without groups, and than a mixture " +
      "with experts of one modality each? Both readings of the paper's modality MoE are here: one " +
      "expert for each modality without a choice (1V+1L), and two with a router (2V+2L). MoIIE on " +
      "gray pictures never sees a picture: what can be known from the question alone.",
    paper: ["table 1", "appendix"],
  },
  scale: {
    question:
      "How does the comparison of architectures depend on the amount of data? The shares of " +
      "the second stage's steps are those of the paper's 1.3, 2 and 2.7 million samples.",
    paper: ["figure 3"],
  },
  ablations: {
    question:
      "What do more experts, another balance of their groups, experts in every layer, and a " +
      "larger coefficient of the balancing loss change?",
    paper: ["table 4"],
  },
  auxiliary: {
    question:
      "What does the coefficient of the load-balancing loss do to the balance of the experts " +
      "and to accuracy, from 0 to 0.1? The paper's own is 0.001.",
    paper: ["table 4"],
  },
  stages: {
    question: "Are two stages better than three? Three stages take the same number of steps on " +
      "questions: the first 72 % of them dense, the rest with experts, when nothing but the layers " +
      "with experts is trained.",
    paper: ["table 3"],
  },
};

/** What a comparison shows, in sentences that its intervals allow. */
export function studyFindings(results: StudyResults, study: Study): Finding[] {
  // Over amounts of data there are many comparisons; the split that is nearest to training has to do.
  const splits = study.name === "scale" ? ["val"] : undefined;
  const balance = study.name === "auxiliary" ? loadFindings(results, study) : [];
  return [...findings(results, study, { splits }), ...balance];
}

/** A comparison: question, our tables and figures, what was found, the paper's tables. */
export async function comparisonSections(
  results: StudyResults,
  study: Study,
): Promise<Section[]> {
  const { question = "", paper = [] } = ABOUT[study.name] ?? {};
  const begin: Section = { kind: "text", heading: study.title, text: question };
  const beside = paper.map((place) => tableSection(`The paper's ${place}`, paperTable(place)));
  if (!isRecorded(results, study)) {
    return [begin, textSection(undefined, notRecorded(study)), ...beside];
  }
  return [
    begin,
    ...foundSections(results, study),
    ...await tablesAndFigures(results, study),
    ...await afterStages(results, study),
    ...await loadSections(results, study),
    ...beside,
  ];
}

function foundSections(results: StudyResults, study: Study): Section[] {
  const list = studyFindings(results, study), count = countFindings(list);
  const items = [
    ...findingItems(list),
    ...notSaid(list).map((text) => ({ text })),
    ...count ? [{ text: count }] : [],
  ];
  return listSection("What was found", items);
}

/** Each table with the figure that draws its numbers. */
async function tablesAndFigures(results: StudyResults, study: Study): Promise<Section[]> {
  // Variants without runs are named with the findings; once is enough.
  const found = studyTables(study, results);
  const table = (kind: string, heading: string) =>
    found.filter((t) => t.name === `${study.name}-${kind}`).map((t) => tableSection(heading, t));
  const accuracy = [
    ...table("accuracy", "Accuracy here"),
    ...table("differences", "Differences here"),
  ];
  const families = table("families", "By family of questions");
  if (study.name === "scale") {
    const caption = "The paper's points were read off its figure.";
    const figure = await figureSection("Amount of data", dataScaleFigure(results), caption);
    return [...accuracy, figure, ...families];
  }
  const seen = { ...study, variants: study.variants.filter((v) => !v.blind) };
  if (!isRecorded(results, seen)) return [...accuracy, ...families];
  const differences = compareVariants(results, seen.variants).some((c) => c.difference)
    ? [await figureSection(undefined, differenceFigure(results, seen), DIFFERENCES)]
    : [];
  return [
    ...accuracy,
    ...differences,
    ...families,
    await figureSection(undefined, familyFigure(results, seen, ["val", "style"]), BY_FAMILY),
    await figureSection("Training loss", lossFigure(results, seen), LOSSES),
  ];
}

const DIFFERENCES =
  "On held-out pictures (val), seed by seed. An interval that holds zero shows no " +
  "difference.";
const BY_FAMILY = "On pictures like those of training (val) and in another style.";
const LOSSES = "Cross-entropy, all stages in a row; it jumps where the task changes. What a band " +
  "holds below zero comes from few seeds.";

/** What the first stage leaves, beside finished models; nothing if it was not asked. */
async function afterStages(results: StudyResults, study: Study): Promise<Section[]> {
  if (study.name !== "stages") return [];
  const all = withFirstStage(results);
  const stages: Study = {
    name: "after-each-stage",
    title: "After stage 1 and after stage 2",
    variants: [FIRST_STAGE, variantNamed("dense"), variantNamed("moiie")],
  };
  if (!all.variants.some((v) => v.name === FIRST_STAGE.name)) {
    return [textSection(stages.title, "Not recorded: the runs at hand were not asked in between.")];
  }
  return [
    tableSection(stages.title, studyTable(all, stages)),
    tableSection(undefined, studyTable(all, stages, "differences")),
    await figureSection(undefined, familyFigure(all, stages, ["val", "style"])),
  ];
}

/** How the balance develops with each coefficient of the balancing loss but the paper's own. */
async function loadSections(results: StudyResults, study: Study): Promise<Section[]> {
  if (study.name !== "auxiliary") return [];
  const others = study.variants.filter(({ name }) =>
    name !== REFERENCE && results.runs.some((r) => r.variant === name && r.load)
  );
  const sections: Section[] = [];
  for (const [i, { name }] of others.entries()) {
    const heading = i === 0 ? "Load of the experts over training" : undefined;
    sections.push(await figureSection(heading, trainingLoadFigure(results, name), LOAD));
  }
  return sections;
}

const LOAD = "One run, single training batches. With the paper's coefficient: under Experts.";
