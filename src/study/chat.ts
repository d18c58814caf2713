/** Talking to a model about pictures: turns, templates, and what the model remembers. */
import {
  pictureInput,
  type PictureInputOptions,
  type PictureSource,
  type PreprocessorConfig,
  readPicture,
  type RgbImage,
} from "../data/mod.ts";
import {
  CachedLanguage,
  type ChatTemplate,
  chatTemplate,
  type ChatTurn,
  checkpointTemplate,
  type Generated,
  type GenerateOptions,
  type Lvlm,
  lvlmTextModel,
  ownTemplate,
  type Published,
  renderChat,
  seeImages,
  type TextModel,
  textModel,
  type WordsTokenizer,
} from "../models/mod.ts";
import { bunnyAspect } from "../models/bunny_layout.ts";
import { answerLength, checkGenerate, textOf, writeOn } from "../models/generate.ts";
import { promptTokens } from "../models/text_model.ts";
import { type Tensor, tensor } from "../tensor/mod.ts";

/** The library's own model, with the tokenizer of its data set. */
export interface Miniature {
  /** The model. */
  readonly model: Lvlm;
  /** The tokenizer, such as `data.tokenizer`. */
  readonly tokenizer: WordsTokenizer;
}

/** Options of {@linkcode chat}. */
export interface ChatOptions extends Omit<GenerateOptions, "signal"> {
  /**
   * How the conversation is written down: `phi3`, `llama`, `bunny`, `bunny-llama`, `vicuna`, `plain`,
   * `text`, `question`, `own` (the checkpoint's), or a template. Default that of
   * `checkpointTemplate()`: the authors' and Bunny's for theirs, else the checkpoint's own, else LLaVA's
   * for LLaVA, else `text`.
   */
  template?: string | ChatTemplate;
  /** In place of the template's system sentence. */
  system?: string;
  /**
   * What happens to pictures that are not square: `square` leaves them to the processor, `pad` puts
   * bars of the mean colour beside them first, as the paper's second stage. Default what a checkpoint
   * of the authors' layout says, else `square`.
   */
  aspect?: PictureInputOptions["aspect"];
  /** Most tokens of the conversation, its answers among them. Default 2048, or the context if less. */
  capacity?: number;
}

/** Options of {@linkcode Chat.say}. */
export interface SayOptions {
  /** Pictures that the question is about, in front of it: paths, bytes of files, or pictures. */
  readonly images?: readonly PictureSource[];
  /** Ends the answer where it is when it is aborted. */
  readonly signal?: AbortSignal;
}

const CAPACITY = 2048;

/** What a chat needs to know of a model. */
interface Talker {
  readonly model: TextModel;
  readonly template: ChatTemplate;
  readonly processor: PreprocessorConfig | undefined;
  readonly aspect: PictureInputOptions["aspect"];
}

/** A conversation. Made by {@linkcode chat}. */
export class Chat {
  /** What was said, answers that were stopped among them. */
  readonly turns: ChatTurn[] = [];
  readonly #talker: Talker;
  readonly #options: ChatOptions;
  readonly #cached: CachedLanguage;
  readonly #capacity: number;
  #features: Tensor[] = [];
  #busy = false;

  /** Use {@linkcode chat}. */
  constructor(talker: Talker, options: ChatOptions, cached: CachedLanguage, capacity: number) {
    this.#talker = talker;
    this.#options = options;
    this.#cached = cached;
    this.#capacity = capacity;
  }

  /** How the conversation is written down. */
  get template(): ChatTemplate {
    return this.#talker.template;
  }

  /**
   * Says something, with pictures if there are any, and gives the answer piece by piece. What was
   * said before is not computed again. Leaving the loop early, or aborting the signal, ends the
   * answer; what was said until then counts as said.
   *
   * @returns pieces of text; in the end the answer
   * @throws {RangeError} if the conversation has become too long, or a picture is missing where the
   * model needs one. @throws {TypeError} if the model cannot see and there are pictures.
   * @throws {Error} if it is still answering. The question counts as not asked then.
   */
  async *say(
    text: string,
    { images = [], signal }: SayOptions = {},
  ): AsyncGenerator<string, Generated> {
    if (this.#busy) throw new Error("the model is still answering: read that answer to its end");
    this.#busy = true;
    try {
      const ready = await this.#ask(text, images);
      let said = "";
      try {
        const options = { ...generation(this.#options), ...this.#ends(), signal };
        const { model } = this.#talker, { logits, tokens, most } = ready;
        const steps = writeOn(model, this.#cached, [logits], [tokens], [most], options);
        const pieces = textOf(steps);
        while (true) {
          const { done, value } = await pieces.next();
          if (done) return value[0];
          said += value;
          yield value;
        }
      } finally {
        this.turns.push({ role: "assistant", text: said.trim() });
      }
    } finally {
      this.#busy = false;
    }
  }

  /** Says something and waits for the whole answer; see {@linkcode Chat.say}. */
  async ask(text: string, options: SayOptions = {}): Promise<string> {
    let answer = "";
    for await (const piece of this.say(text, options)) answer += piece;
    return answer.trim();
  }

  /** Forgets the conversation; the memory for it stays. */
  reset(): void {
    this.turns.length = 0;
    this.#cached.reset();
    for (const t of this.#features) t.dispose();
    this.#features = [];
  }

  /** Gives the memory back. */
  dispose(): void {
    this.reset();
    this.#cached.dispose();
  }

  /** `using talk = await chat(…)` gives the memory back at the end of the block. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Reads a question. */
  async #ask(
    text: string,
    images: readonly PictureSource[],
  ): Promise<{ logits: Float32Array; tokens: number[]; most: number }> {
    const { model, template } = this.#talker;
    const pixels = (await Promise.all(images.map(readPicture))).map(this.#pixels);
    const features = [...this.#features, ...await seeImages(model, pixels)];
    const single = "single" in template && template.single === true;
    const seen = single ? features.slice(-Math.max(1, images.length)) : features;
    if (single && seen.length === 0) {
      throw new RangeError("this model always looks at a picture: give one with the question");
    }
    const turn: ChatTurn = { role: "user", text, images: single ? seen.length : images.length };
    const prompt = await renderChat(template, [...this.turns, turn], this.#options.system);
    const tokens = promptTokens(model, prompt, seen, !("jinja" in template));
    const reach = { contextLength: this.#capacity };
    const most = answerLength(reach, tokens.length, this.#options.maxTokens);
    const logits = await this.#cached.readWhole(tokens, seen, most);
    this.#features = features;
    this.turns.push(turn);
    return { logits, tokens, most };
  }

  #pixels = (image: RgbImage): Tensor => {
    const { processor } = this.#talker;
    if (!processor) {
      throw new TypeError(
        `how the model's pictures are prepared is not known: its checkpoint lacks ` +
          `preprocessor_config.json`,
      );
    }
    const { aspect = this.#talker.aspect } = this.#options;
    const { data, shape } = pictureInput(image, { config: processor, aspect });
    return tensor(data, { shape });
  };

  /** What ends an answer: the template's mark, as a token if it is one, and what was asked for. */
  #ends(): Pick<GenerateOptions, "endIds" | "stop"> {
    const { model, template } = this.#talker, { endIds = model.endIds, stop = [] } = this.#options;
    const end = "jinja" in template ? "" : template.end;
    if (end === "") return { endIds, stop };
    const id = model.tokenizer?.id?.(end);
    return { endIds: id === undefined ? endIds : [...endIds, id], stop: [...stop, end] };
  }
}

/** The options of the answers alone. */
function generation(options: ChatOptions): GenerateOptions {
  const { template: _template, system: _system, aspect: _aspect, capacity: _capacity, ...rest } =
    options;
  return rest;
}

/** Pictures of the library's own model: squares, from -1 to 1. */
function miniatureProcessor({ config }: Lvlm): PreprocessorConfig {
  const side = config.vision.imageSize, half = [0.5, 0.5, 0.5];
  return {
    image_processor_type: "SiglipImageProcessor",
    size: { height: side, width: side },
    image_mean: half,
    image_std: half,
  };
}

function talkerOf(
  loaded: Published | Miniature,
  template: string | ChatTemplate | undefined,
): Talker {
  const named = typeof template === "string" && template !== "own"
    ? chatTemplate(template)
    : template as ChatTemplate | "own" | undefined;
  if (!("kind" in loaded)) {
    const usual = chatTemplate("question");
    return {
      model: lvlmTextModel(loaded.model, loaded.tokenizer),
      template: named === undefined || named === "own" ? usual : named,
      processor: miniatureProcessor(loaded.model),
      aspect: "square",
    };
  }
  const usual = () => named === "own" ? ownTemplate(loaded) : checkpointTemplate(loaded);
  return {
    model: textModel(loaded),
    template: named === undefined || named === "own" ? usual() : named,
    processor: loaded.processor as PreprocessorConfig | undefined,
    aspect: bunnyAspect(loaded.config),
  };
}

/**
 * Begins a conversation with a loaded checkpoint or with the library's own model. Answers are the
 * likeliest unless a temperature is given.
 *
 * @throws {RangeError} on unknown options or templates (the nearest is offered), or a capacity beyond
 * what the model reads. @throws {TypeError} if the model writes no text or has no tokenizer.
 * @throws {Error} if the device has not enough memory for the conversation.
 *
 * @example
 * ```ts ignore
 * import { chat, lab, loadPublished } from "@moiie/lab";
 * await lab();
 * using talk = await chat(await loadPublished("llava-1.5-7b-hf"));
 * for await (const piece of talk.say("What is it?", { images: ["cat.jpg"] })) console.log(piece);
 * ```
 */
export async function chat(
  loaded: Published | Miniature,
  options: ChatOptions = {},
): Promise<Chat> {
  checkGenerate(generation(options));
  const talker = talkerOf(loaded, options.template), { model } = talker;
  if (!model.tokenizer) {
    throw new TypeError(
      "the checkpoint has no tokenizer.json: put the model's beside its weights to chat",
    );
  }
  const { contextLength = Infinity } = model;
  const capacity = options.capacity ?? Math.min(CAPACITY, contextLength);
  if (!(Number.isInteger(capacity) && capacity > 0 && capacity <= contextLength)) {
    throw new RangeError(
      `capacity = ${capacity} must be a positive whole number` +
        (contextLength < Infinity ? ` of at most ${contextLength}, which the model reads` : ""),
    );
  }
  const cached = await CachedLanguage.open(model, {
    capacity,
    imageToken: model.image?.token,
  });
  return new Chat(talker, options, cached, capacity);
}
