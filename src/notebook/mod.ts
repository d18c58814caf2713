/**
 * What notebooks need: showing values, progress, live loss curves, and a Stop button that keeps
 * the kernel's state. Everything also works in a terminal, where it prints text.
 *
 * ```ts
 * import { show, table } from "@moiie/lab/notebook";
 *
 * await show(table(["family", "accuracy"], [["general", 0.81], ["ocr", 0.67]]));
 * ```
 *
 * @module
 */

export {
  accountingTable,
  costTable,
  type CountedModel,
  foundInParameters,
  parameterParts,
  stepTimes,
  type StepTimesOptions,
  timeTable,
} from "./cost.ts";
export { chatCell, type Talk } from "./chat_cell.ts";
export { flush } from "./display.ts";
export {
  expertFigure,
  type ExpertFigureKind,
  expertTable,
  type ExpertTableKind,
  notAnalysed,
  pathFigure,
  pathwayFigure,
  routingTable,
  type RoutingTableKind,
} from "./expert_figures.ts";
export { type Interruptible, interruptible } from "./interruptible.ts";
export { LiveLoss } from "./live_loss.ts";
export {
  duration,
  Progress,
  type ProgressOptions,
  type ProgressState,
  type Terminal,
} from "./progress.ts";
export { bullets, type Markdown, markdown } from "./markdown.ts";
export { show } from "./show.ts";
export { type Sound, sound } from "./sound.ts";
export {
  balanceFigure,
  dataScaleFigure,
  differenceFigure,
  familyFigure,
  lossFigure,
  parameterFigure,
  routingFigure,
  type StudyFigure,
  trainingLoadFigure,
} from "./study_figures.ts";
export { studyReport, type StudyReportOptions } from "./study_report.ts";
export {
  StudyProgressLine,
  studyVersions,
  trainStudy,
  type TrainStudyOptions,
} from "./study_run.ts";
export {
  foundHere,
  foundIn,
  type FoundOptions,
  isRecorded,
  loadTable,
  notRecorded,
  notRecordedVariant,
  paperTable,
  recipeTable,
  recordedBy,
  studyTable,
  type StudyTableKind,
} from "./study_tables.ts";
export { type Table, table } from "./table.ts";
export { tensorFigure } from "./tensor.ts";
export { type LivePublishedRun, trainPublished } from "./train_published.ts";
export { curvesOf, type LiveRun, train, type TrainOptions } from "./train.ts";
export { accuracyTable, answerSheet, summary } from "./tables.ts";
