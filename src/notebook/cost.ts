/**
 * What models cost: parameters part by part, operations, and the time of training steps.
 *
 * @module
 */

import { emojiVqa } from "../data/mod.ts";
import {
  type CountedConfig,
  forwardFlops,
  lvlm,
  modelParameters,
  publishedModel,
  summarize,
  type Summary,
} from "../models/mod.ts";
import { moiie } from "../moe/mod.ts";
import type { PartParameters, VariantCost } from "../plot/mod.ts";
import {
  PAPER_TABLE_2,
  type PaperMixture,
  type Study,
  studyOf,
  type StudyResults,
  type Variant,
} from "../study/mod.ts";
import { lab } from "../tensor/mod.ts";
import { fit, twoStage } from "../train/mod.ts";
import { bullets, type Markdown } from "./markdown.ts";
import { notRecorded } from "./study_tables.ts";
import { type Table, table } from "./table.ts";

/** A model to be counted. */
export interface CountedModel {
  /** Its name in tables. */
  readonly name: string;
  /** Its configuration, from `publishedModel()` or `lvlmConfig()`. */
  readonly config: CountedConfig;
}

/** Parts of a model as figures stack them, and the words that their rows begin with. */
const PARTS: readonly (readonly [part: string, begins: RegExp])[] = [
  ["vision encoder", /^vision/],
  ["connector", /^connector/],
  ["embedding and head", /^(token embedding|language head)/],
  ["dense FFN", /^dense FFN/],
  ["experts and routers", /^(experts|always-on|router)/],
  ["attention and norms", /./],
];

/** Parameters by part of a model, all and those that a token uses: what `parameterBars` stacks. */
export function parameterParts(config: CountedConfig): PartParameters[] {
  const { rows } = summarize(config);
  const placeOf = ({ part }: Summary["rows"][number]) =>
    PARTS.find(([, begins]) => begins.test(part))![0];
  return PARTS.map(([part]) => {
    const own = rows.filter((row) => placeOf(row) === part);
    const sum = (count: "total" | "active") => own.reduce((n, row) => n + row[count], 0);
    return { part, total: sum("total"), active: sum("active") };
  });
}

const digits = (n: number): string => n.toLocaleString("en-US");

/** Parameters of models part by part, to the digit: all, and those that one token uses. */
export function accountingTable(models: readonly CountedModel[]): Table {
  const counted = models.map(({ config }) => summarize(config));
  const names = [...new Set(counted.flatMap(({ rows }) => rows.map((r) => r.part)))];
  // The head stands last in every model, also where another one has more parts.
  const parts = names.toSorted((a, b) => Number(/head/.test(a)) - Number(/head/.test(b)));
  const cells = (part: string) =>
    counted.flatMap(({ rows }) => {
      const row = rows.find((r) => r.part === part);
      return row ? [digits(row.total), digits(row.active)] : ["", ""];
    });
  return table(
    ["part", ...models.flatMap(({ name }) => [name, "used by a token"])],
    [
      ...parts.map((part) => [part, ...cells(part)]),
      ["all", ...counted.flatMap(({ total, active }) => [digits(total), digits(active)])],
    ],
    "Vision encoder, connector and both embedding matrices count as used, as the paper counts; of " +
      "the routers a token meets that of its modality.",
  );
}

/** With three digits, `8.59 M`, `10.1 G`. */
function amount(n: number): string {
  const [divisor, unit] = n >= 1e12
    ? [1e12, "T"]
    : n >= 1e9
    ? [1e9, "G"]
    : n >= 1e6
    ? [1e6, "M"]
    : [1e3, "k"];
  return `${(n / divisor).toPrecision(3)} ${unit}`;
}

/**
 * Models side by side: parameters, those that a token uses, and the operations of a forward pass for a
 * token and for a picture.
 *
 * @param context Tokens that a token attends to. Default 1, hardly any.
 */
export function costTable(models: readonly CountedModel[], context: number = 1): Table {
  return table(
    ["model", "parameters", "used by a token", "share", "FLOP a token", "FLOP a picture"],
    models.map(({ name, config }) => {
      const { total, active } = summarize(config);
      const { token, picture } = forwardFlops(config, { context });
      const share = `${(100 * active / total).toFixed(0)} %`;
      return [name, digits(total), digits(active), share, amount(token), amount(picture)];
    }),
    `Forward pass; a token of the language model attends to ${context} tokens, a picture is vision ` +
      "encoder and connector. Training takes about three times as many.",
  );
}

/** The published models as the paper's table 2 names them, with its numbers. */
const PAPER_MODELS = (["phi-3-mini", "llama3-8b"] as const).map((name, i) => {
  const rows = PAPER_TABLE_2.filter(({ model }) => model.startsWith("MoIIE"));
  return { config: publishedModel(name, moiie()), paper: rows[i] };
});

/** What the counts of the published models say about the paper's table 2, in sentences. */
export function foundInParameters(): Markdown {
  const [, { config: large }] = PAPER_MODELS;
  const { activated: others } = PAPER_TABLE_2.find(({ model }) => model === "CuMO")!;
  const fewer = 100 * (1 - summarize(large).active / (1e9 * others!));
  return bullets([
    ...PAPER_MODELS.flatMap(({ config, paper }) => paperSentences(config, paper)),
    `The larger model uses ${
      fewer.toFixed(1)
    } % fewer parameters a token than the ${others} B that ` +
    "the paper's table gives for MGM and CuMO; the paper's text says 17 %.",
  ]);
}

function paperSentences(
  config: CountedConfig,
  { model, activated, total }: PaperMixture,
): string[] {
  const found = summarize(config);
  const language = found.rows
    .filter(({ part }) => part !== "vision encoder" && part !== "connector")
    .reduce((n, row) => n + row.total, 0);
  const billions = (n: number, digits = 2) => (n / 1e9).toFixed(digits);
  const agrees = Number(billions(found.active, 1)) === activated;
  const whole = found.total / 1e9;
  const how = Math.round(whole) === total
    ? "the same, rounded"
    : Math.floor(whole) === total
    ? `the same, cut off, or the language model alone (${billions(language)} B), rounded`
    : "another number";
  return [
    `${model} uses ${digits(found.active)} parameters a token, ${billions(found.active)} B: the ` +
    `paper's ${activated} B ${agrees ? "to its last digit" : "is another number"}.`,
    `${model} has ${digits(found.total)} parameters, ${billions(found.total)} B; the paper's ` +
    `${total} B is ${how}.`,
  ];
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b), half = (sorted.length - 1) / 2;
  return (sorted[Math.floor(half)] + sorted[Math.ceil(half)]) / 2;
}

/** Time of the recorded runs of a study's variants, with the questions that they were asked after. */
export function timeTable(results: StudyResults, study: Study | string): Table | Markdown {
  const whole = studyOf(study);
  const rows = whole.variants.flatMap(({ name, label }) => {
    const times = results.runs.filter((run) => run.variant === name && run.seconds > 0)
      .map(({ seconds, curves }) => 1000 * seconds / curves.reduce((n, c) => n + c.steps, 0));
    if (times.length === 0) return [];
    const [least, most] = [Math.min(...times), Math.max(...times)].map((t) => t.toFixed(0));
    return [[label, times.length, Math.round(median(times)), `${least} to ${most}`]];
  });
  if (rows.length === 0) return notRecorded(whole);
  return table(
    ["variant", "runs", "ms a step, median", "range"],
    rows,
    `Recorded runs on ${results.devices.join(", ")}: their time over their steps, the questions ` +
      "at the end included. Other work on the machine makes them longer: the least is the best guess.",
  );
}

/** Steps over which times are averaged. */
const WINDOW = 4;

/** Least mean time of a step over a few in a row: what other work on the machine disturbs least. */
function fastest(times: readonly number[]): number {
  const steps = Math.min(WINDOW, times.length - 1);
  return Math.min(...times.slice(steps).map((time, i) => (time - times[i]) / steps));
}

/** Options of {@linkcode stepTimes}. */
export interface StepTimesOptions {
  /** Steps of each variant; the first third is not counted. Default 12. */
  readonly steps?: number;
  /** Preset of the model. Default `tiny`. */
  readonly preset?: string;
}

/**
 * Trains a few steps of each variant in a session of its own, and gives the time of a step with
 * the parameters that the built model has: one panel of `parameterBars`.
 *
 * @throws {RangeError} If there are less than 3 steps.
 */
export async function stepTimes(
  variants: readonly Pick<Variant, "label" | "ffn" | "placement">[],
  { steps = 12, preset = "tiny" }: StepTimesOptions = {},
): Promise<(VariantCost & { readonly built: number })[]> {
  if (!(steps >= 3)) throw new RangeError(`stepTimes: ${steps} steps tell no time; take 3 or more`);
  const first = Math.ceil(steps / 3); // before it, plans are still being made
  const data = await emojiVqa({ scale: preset === "tiny" ? "tiny" : "small" });
  const costs = [];
  for (const { label, ffn, placement } of variants) {
    using _session = await lab({ seed: 7 });
    const model = await lvlm(preset, { ffn, placement });
    const times: number[] = [];
    await fit(model, twoStage(data, { connectorSteps: 1, instructionSteps: steps }), {
      onStep: () => void times.push(performance.now()),
    });
    costs.push({
      name: label,
      parts: parameterParts(model.config),
      msPerStep: fastest(times.slice(first)),
      built: [...modelParameters(model).values()].reduce((n, t) => n + t.size, 0),
    });
  }
  return costs;
}
