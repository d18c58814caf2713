/**
 * Build, train and dissect sparse mixture-of-experts vision-language models on WebGPU, in Deno
 * notebooks and programs.
 *
 * ```ts ignore
 * import { emojiVqa, lab, lvlm, moiie, plot, recordRouting, show, train, twoStage } from "@moiie/lab";
 *
 * const session = await lab({ seed: 7 });
 * const data = await emojiVqa({ scale: "tiny" });
 * const model = await lvlm("tiny", { ffn: moiie({ vision: 1, language: 1, shared: 2, topK: 2 }) });
 * const run = await train(model, twoStage(data));
 * await show(run.curves());
 * const routing = await recordRouting(model, data);
 * await show(plot.activationProportions(routing));
 * ```
 *
 * Everything is also at hand by layer: `@moiie/lab/tensor`, `/nn`, `/moe`, `/models`, `/data`,
 * `/train`, `/study`, `/plot`, `/notebook`, `/gpu`.
 *
 * @module
 */
export {
  compile,
  describe,
  evaluate as evaluateTensors,
  explain,
  lab,
  type Session,
  Tensor,
  tensor,
} from "./src/tensor/mod.ts";
export {
  dense,
  modalityMoe,
  moiie,
  moiieOf,
  type PoolTable,
  type RoutingOptions,
  vanillaMoe,
} from "./src/moe/mod.ts";
export {
  ablateExperts,
  checkpointPath,
  checkpointTemplate,
  conversationTemplate,
  extractDense,
  forwardFlops,
  generate,
  loadPublished,
  type Lvlm,
  lvlm,
  type LvlmConfig,
  lvlmConfig,
  mergeModels,
  type ModelOptions,
  openCheckpoint,
  type Placement,
  plan,
  type Published,
  publishedModel,
  streamLayers,
  streamText,
  summarize,
  type Summary,
  textModel,
  upcyclePublished,
  upcycleReceipt,
  writePublished,
} from "./src/models/mod.ts";
export {
  BadRows,
  BENCHMARKS,
  type EmojiVqa,
  emojiVqa,
  evaluateBenchmark,
  type Judge,
  llavaBatches,
  LlavaData,
  readPicture,
  writeSubmission,
} from "./src/data/mod.ts";
export {
  exampleBatches,
  fitPublished,
  publishedBatches,
  publishedInputs,
  type Recipe,
  type Run,
  threeStage,
  type ThreeStageOptions,
  twoStage,
  type TwoStageOptions,
} from "./src/train/mod.ts";
export {
  accuracyRows,
  analyseExperts,
  answerQuestions,
  type Chat,
  chat,
  compareVariants,
  evaluate,
  type Evaluation,
  expertFindings,
  expertScores,
  findings,
  FIRST_STAGE,
  idleExperts,
  idleFact,
  imageWords,
  interModalityFindings,
  pathSummaries,
  pathwayFacts,
  readAnalyses,
  readResults,
  recordPaths,
  recordRouting,
  routingRecords,
  type RoutingSummary,
  type Study,
  studyAnalyses,
  studyNamed,
  studyPart,
  type StudyResults,
  studyResults,
  studyTables,
  type Variant,
  variantNamed,
  withFirstStage,
  writeReport,
} from "./src/study/mod.ts";
export {
  accountingTable,
  accuracyTable,
  answerSheet,
  balanceFigure,
  chatCell,
  costTable,
  dataScaleFigure,
  differenceFigure,
  expertFigure,
  expertTable,
  familyFigure,
  foundHere,
  foundIn,
  foundInParameters,
  type LiveRun,
  loadTable,
  lossFigure,
  markdown,
  paperTable,
  parameterFigure,
  parameterParts,
  pathFigure,
  pathwayFigure,
  Progress,
  recipeTable,
  routingFigure,
  routingTable,
  show,
  stepTimes,
  studyReport,
  studyTable,
  summary,
  table,
  timeTable,
  train,
  trainingLoadFigure,
  trainPublished,
  trainStudy,
} from "./src/notebook/mod.ts";
export * as plot from "./src/plot/mod.ts";
export * as tensors from "./src/tensor/mod.ts";
