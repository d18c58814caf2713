import { assertEquals, assertThrows } from "@std/assert";
import {
  chatTemplate,
  checkpointTemplate,
  loadPublished,
  ownTemplate,
  type Published,
} from "../../src/models/mod.ts";
import "../nn/shared.ts"; // opens the session
import { writeWhole } from "./bunny_shared.ts";
import { CHARACTER_TOKENIZER, writeTalkingLlava } from "./chat_shared.ts";
import { inFolder, writeJson } from "./checkpoint_shared.ts";

const JINJA = "{% for m in messages %}{{ m.content }}{% endfor %}";

/** Puts a tokenizer with a chat template of the language model's beside the weights. */
function writeTokenizer(folder: string): void {
  writeJson(folder, "tokenizer.json", CHARACTER_TOKENIZER);
  writeJson(folder, "tokenizer_config.json", { bos_token: "<s>", chat_template: JINJA });
}

Deno.test("checkpointTemplate() takes the authors' template for their models, not the language model's own", async () => {
  await inFolder(async (folder) => {
    writeWhole(folder);
    writeTokenizer(folder);
    const whole = await loadPublished(folder);
    assertEquals(checkpointTemplate(whole), chatTemplate("phi3"));
    assertEquals(ownTemplate(whole), { jinja: JINJA, values: { bos_token: "<s>", eos_token: "" } });
    const { config } = whole, text = config.text_config as Record<string, unknown>;
    const onLlama = { ...config, text_config: { ...text, model_type: "llama" } };
    assertEquals(checkpointTemplate({ ...whole, config: onLlama }), chatTemplate("llama"));
  });
});

Deno.test("checkpointTemplate() takes Bunny's for dense models of its layout, LLaVA's or the model's own for others", async () => {
  await inFolder(async (folder) => {
    await writeTalkingLlava(folder);
    const loaded = await loadPublished(folder);
    assertEquals(checkpointTemplate(loaded), chatTemplate("vicuna"));
    assertThrows(() => ownTemplate(loaded), RangeError, "no chat_template");
    const text = loaded.config.text_config as Record<string, unknown>;
    const from = (source_model_type: string, model_type: string): Published => ({
      ...loaded,
      config: { ...loaded.config, source_model_type, text_config: { ...text, model_type } },
    });
    const chosen = (...types: [string, string]) => checkpointTemplate(from(...types));
    assertEquals(chosen("bunny-llama", "llama"), chatTemplate("bunny-llama"));
    assertEquals(chosen("bunny-phi3", "phi3"), chatTemplate("bunny"));
    // LLaVA's own layout has the same names.
    assertEquals(chosen("llava_llama", "llama"), chatTemplate("vicuna"));
    writeTokenizer(folder);
    const own = await loadPublished(folder);
    assertEquals(checkpointTemplate(own), ownTemplate(own));
  });
});
