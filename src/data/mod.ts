/**
 * Data: the emoji-VQA data set, spoken digits beside pictures, the tokenizer, and packed multimodal
 * batches.
 *
 * @module
 */

export * from "./benchmarks/mod.ts";
export * from "./emoji_vqa/mod.ts";
export {
  type Batch,
  type BatchOptions,
  type BatchSample,
  captionBatch,
  imagePixels,
  instructionBatch,
  type InstructionOptions,
  packRows,
  patchWords,
  textBatch,
  type TextOptions,
  type TextPair,
  wordProblems,
  type WordSceneBatch,
  wordSceneBatch,
  type WordSceneOptions,
} from "./batch.ts";
export { decodeImage } from "./decode_image.ts";
export {
  type ImageSize,
  type PreprocessorConfig,
  type ProcessedImage,
  processImage,
} from "./image_processing.ts";
export {
  type ConversationPiece,
  type ConversationTemplate,
  type ConversationTokenizer,
  type ConversationTokens,
  conversationTokens,
  type ConversationTokensOptions,
  imagesFirst,
} from "./conversation_tokens.ts";
export { JsonRows, type JsonRowsOptions } from "./json_rows.ts";
export {
  type LlavaBatch,
  type LlavaBatchCursor,
  llavaBatches,
  type LlavaBatchesOptions,
} from "./llava_batches.ts";
export {
  type BadRow,
  type BadRowReason,
  BadRows,
  IMAGE_TAG,
  type LlavaCursor,
  LlavaData,
  type LlavaDataOptions,
  type LlavaRow,
  type LlavaRowsOptions,
  type LlavaTurn,
} from "./llava_data.ts";
export {
  padToSquare,
  pictureInput,
  type PictureInputOptions,
  type PictureSource,
  readPicture,
} from "./picture_input.ts";
export {
  NO_LABEL,
  packSlots,
  type Segment,
  type SlotOptions,
  type SlotRow,
  type TokenBatch,
} from "./pack.ts";
export { encodePng } from "./png.ts";
export {
  type AnswerSpan,
  type QuestionBatch,
  questionBatches,
  type QuestionBatchOptions,
} from "./question_batches.ts";
export { resizeImage, type RgbImage } from "./resize.ts";
export { Sampler, type SamplerOptions } from "./sampler.ts";
export * from "./spoken_digits/mod.ts";
export { SPECIAL_TOKENS, WordTokenizer, type WordTokenizerJson } from "./tokenizer.ts";
