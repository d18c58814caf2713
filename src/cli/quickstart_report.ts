/** The report of a quickstart run: the same figures as the notebook, in one page. */
import { type EmojiVqa, encodePng, type Sample } from "../data/mod.ts";
import { type Lvlm, summarize } from "../models/mod.ts";
import {
  accuracyBars,
  activationProportions,
  type Figure,
  figureToPng,
  loadBalance,
  percent,
} from "../plot/mod.ts";
import { accuracyTable, duration } from "../notebook/mod.ts";
import {
  type Answer,
  answerQuestions,
  type Evaluation,
  type FamilyAccuracy,
  type GallerySample,
  type Report,
  type RoutingSummary,
  type Section,
} from "../study/mod.ts";
import type { Session } from "../tensor/mod.ts";
import type { Run } from "../train/mod.ts";

/** What a report is made from. */
export interface QuickstartResults {
  session: Session;
  model: Lvlm;
  data: EmojiVqa;
  run: Run;
  curves: Figure;
  evaluations: readonly Evaluation[];
  rows: readonly FamilyAccuracy[];
  routing: readonly RoutingSummary[];
  samples: readonly Answer[];
  totalSeconds: number;
  /** Megabytes of resident memory at the end. */
  memory: number;
}

/** Which questions to show: the first of each family in the order of the val split, spread evenly. */
export function galleryQuestions(
  data: EmojiVqa,
  count: number,
): { sample: Sample; question: number }[] {
  const asks: { sample: Sample; question: number }[] = [];
  for (let i = 0; asks.length < count && i < data.sizes.val; i++) {
    const sample = data.sample("val", i);
    const family = data.families[asks.length % data.families.length];
    const question = sample.questions.findIndex((q) => q.family === family);
    if (question >= 0) asks.push({ sample, question });
  }
  return asks;
}

/** The model's answers to the gallery's questions. */
export async function gallery(model: Lvlm, data: EmojiVqa, count = 16): Promise<Answer[]> {
  return await answerQuestions(model, data, galleryQuestions(data, count));
}

async function toGallery(answers: readonly Answer[], size: number): Promise<GallerySample[]> {
  return await Promise.all(
    answers.map(async ({ sample, question, expected, answer, family }) => ({
      png: await encodePng(size, size, sample.image),
      alt: sample.caption,
      question,
      expected,
      answer,
      correct: answer === expected,
      label: family,
    })),
  );
}

/** Puts the report together. */
export async function quickstartReport(r: QuickstartResults): Promise<Report> {
  const numbers = summarize(r.model.config);
  const variant = r.model.config.ffn.variant;
  const val = r.evaluations.find((e) => e.split === "val");
  const accuracies = accuracyTable(r.rows);
  const figure = async (heading: string, f: Figure, alt: string, caption: string) =>
    ({ kind: "figure", heading, png: await figureToPng(f), alt, caption }) satisfies Section;
  const sections: Section[] = [
    await figure(
      "Accuracy beside the blind floor",
      accuracyBars(r.rows, { title: "Accuracy per family", interval: "95 % over questions" }),
      "Bars of accuracy per family and split with blind floors",
      "val follows the law of the training pictures; comp holds out pairs, words, numbers and " +
        "writers; style is drawn in another style. The blind floor is the share of right answers " +
        "without looking at the picture.",
    ),
    { kind: "table", head: accuracies.head, rows: accuracies.rows },
    {
      kind: "gallery",
      heading: "What the model says",
      samples: await toGallery(r.samples, r.data.imageSize),
      caption: "The first questions of the val split, in turn from each family; not selected.",
    },
    await figure(
      "Training loss",
      r.curves,
      "Loss by step in both stages",
      "Stage 1 trains the connector on captions, stage 2 everything on questions.",
    ),
  ];
  if (r.routing.length > 0) {
    sections.push(
      await figure(
        "Which experts the tokens choose",
        activationProportions(r.routing, { title: "Activated experts (val questions)" }),
        "Share of activated experts per layer, modality and family",
        "Share of all top-k choices. The dashed line is what a router without preference would " +
          "give the shared experts.",
      ),
      await figure(
        "Load of the experts",
        loadBalance(r.routing, { title: "Load of the experts (1 = even)" }),
        "Load of every expert relative to an even share",
        "An even share is 1; a dead expert is 0.",
      ),
    );
  }
  sections.push(
    {
      kind: "table",
      heading: "The model",
      head: ["part", "sizes", "parameters", "used by a token"],
      rows: [
        ...numbers.rows.map((x) => [x.part, x.shape, x.total, x.active]),
        ["all", "", numbers.total, numbers.active],
      ],
    },
    {
      kind: "table",
      heading: "Accuracy by type of question (val)",
      head: ["type", "accuracy %", "questions"],
      rows: Object.entries(val?.tasks ?? {}).map(([k, s]) => [k, percent(s.accuracy), s.n]),
    },
    {
      kind: "code",
      heading: "Configuration",
      code: JSON.stringify({ model: r.model.config, recipe: r.run.recipe.settings }, null, 2),
    },
  );
  return {
    title: `Quickstart: ${variant} on emoji-VQA tiny`,
    lead: `A miniature vision-language model with ${variant} feed-forward layers learned from ` +
      `drawn pictures. Mean accuracy over the four families on held-out pictures (val): ` +
      `${percent(val?.macro ?? 0)} %, blind ${
        percent(r.data.blindFloors("val").macro)
      } %. One seed: differences of a few points mean nothing.`,
    facts: [
      ["seed", String(r.run.recipe.seed)],
      ["steps", String(r.run.records.length)],
      ["device", r.session.toString()],
      ["training", duration(r.run.seconds)],
      ["start to report", duration(r.totalSeconds)],
      ["memory", `${r.memory.toFixed(0)} MB`],
      ["parameters", `${numbers.total} (${numbers.active} used by a token)`],
      ["Deno", Deno.version.deno],
      ["date", new Date().toISOString().slice(0, 10)],
    ],
    sections,
  };
}
