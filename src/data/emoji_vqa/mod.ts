/**
 * emoji-VQA: a picture-question-answer data set generated from npm packages.
 *
 * @module
 */

export { type BuildProgress, emojiVqa, type EmojiVqaOptions } from "./build.ts";
export { type Benchmark, EmojiVqa, type Sample } from "./dataset.ts";
export type { ContactSheetOptions } from "./contact_sheet.ts";
export type { BlindFloors } from "./floors.ts";
export { FAMILIES, type Family, type Question } from "./questions.ts";
export { PICTURE_KINDS, type PictureKind, type ScaleName, type Split, SPLITS } from "./scales.ts";
export type { Annotation } from "./table.ts";
export { SOURCES } from "./packages.ts";
