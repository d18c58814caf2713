import { assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import {
  chatTemplate,
  type ChatTurn,
  conversationTemplate,
  renderChat,
} from "../../src/models/templates.ts";

const SYSTEM =
  "A chat between a curious user and an artificial intelligence assistant. The assistant gives " +
  "helpful, detailed, and polite answers to the user's questions.";
const TURNS: ChatTurn[] = [
  { role: "user", text: "What is it?", images: 1 },
  { role: "assistant", text: "A cat." },
  { role: "user", text: "Where?" },
];

Deno.test("renderChat() writes the authors' and LLaVA's conversations", async () => {
  assertEquals(
    await renderChat(chatTemplate("phi3"), TURNS),
    `${SYSTEM} USER: <image>\nWhat is it? ASSISTANT: A cat.<|endoftext|>USER: Where? ASSISTANT:`,
  );
  assertEquals(
    await renderChat(chatTemplate("llama"), TURNS),
    `${SYSTEM}USER: <image>\nWhat is it?ASSISTANT: A cat.<|end_of_text|>USER: Where?ASSISTANT:`,
  );
  // Bunny's own: a blank behind the system sentence and behind what the user says.
  assertEquals(
    await renderChat(chatTemplate("bunny"), TURNS),
    await renderChat(chatTemplate("phi3"), TURNS),
  );
  assertEquals(
    await renderChat(chatTemplate("bunny-llama"), TURNS),
    `${SYSTEM} USER: <image>\nWhat is it? ASSISTANT: A cat.<|end_of_text|>USER: Where? ASSISTANT:`,
  );
  assertEquals(
    await renderChat(chatTemplate("vicuna"), TURNS.slice(0, 1), "Be brief."),
    "Be brief. USER: <image>\nWhat is it? ASSISTANT:",
  );
});

Deno.test("renderChat() leaves marks out where a template has none", async () => {
  assertEquals(
    await renderChat(chatTemplate("plain"), [{ role: "user", text: "", images: 1 }]),
    "<image>",
  );
  assertEquals(await renderChat(chatTemplate("text"), TURNS.slice(2)), "Where?");
  // A model without conversations is asked the last question alone.
  assertEquals(await renderChat(chatTemplate("question"), TURNS), "Where?");
  const two = await renderChat(
    chatTemplate("vicuna"),
    [{ role: "user", text: "?", images: 2 }],
    "",
  );
  assertEquals(two, "USER: <image>\n<image>\n? ASSISTANT:");
});

Deno.test("renderChat() runs a checkpoint's own template, with texts or lists of parts", async () => {
  const plain = {
    jinja:
      "{{ bos_token }}{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}<|end|>\n" +
      "{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}",
    values: { bos_token: "<s>" },
  };
  assertEquals(
    await renderChat(plain, TURNS.slice(0, 1), "Short."),
    "<s><|system|>\nShort.<|end|>\n<|user|>\n<image>\nWhat is it?<|end|>\n<|assistant|>\n",
  );
  const parts = {
    jinja: "{% for m in messages %}{{ m['role'].upper() }}: {% for c in m['content'] %}" +
      "{% if c['type'] == 'image' %}<image>\n{% else %}{{ c['text'] }}{% endif %}{% endfor %} " +
      "{% endfor %}ASSISTANT:",
  };
  assertStringIncludes(
    await renderChat(parts, TURNS),
    "USER: <image>\nWhat is it? ASSISTANT: A cat. USER: Where? ASSISTANT:",
  );
  const refusing = { jinja: "{{ raise_exception('roles must alternate') }}" };
  await assertRejects(() => renderChat(refusing, TURNS), SyntaxError, "roles must alternate");
  await assertRejects(() => renderChat({ jinja: "{% for %}" }, TURNS), SyntaxError, "template");
});

Deno.test("chatTemplate() offers the nearest name when there is none", () => {
  assertThrows(() => chatTemplate("vicuna1"), RangeError, "vicuna");
  assertThrows(() => chatTemplate("toString"), RangeError);
});

Deno.test("conversationTemplate() learns answers with their ends, and begins as a chat does", async () => {
  const turns = [
    { role: "human", text: "<image>\nWhat is it?" },
    { role: "gpt", text: "A cat." },
    { role: "human", text: "Where?" },
    { role: "gpt", text: "Here." },
  ] as const;
  for (const name of ["bunny", "phi3", "llama", "bunny-llama", "vicuna"]) {
    const pieces = conversationTemplate(name)(turns), { end } = chatTemplate(name);
    assertEquals(
      pieces.filter((piece) => piece.learned).map((piece) => piece.text),
      [`A cat.${end}`, `Here.${end}`],
    );
    // Up to the last answer it is what a chat asks.
    const asked = await renderChat(chatTemplate(name), TURNS);
    assertEquals(pieces.slice(0, -1).map(({ text }) => text).join(""), `${asked} `, name);
  }
  const [first] = conversationTemplate("bunny", "Be brief.")(turns);
  assertEquals(first, {
    text: "Be brief. USER: <image>\nWhat is it? ASSISTANT: ",
    learned: false,
  });
  assertThrows(() => conversationTemplate("buny"), RangeError, "bunny");
});

Deno.test("conversationTemplate() takes of a caption's question the picture alone, as Bunny's first stage", () => {
  const pieces = conversationTemplate("plain")([
    { role: "human", text: "<image>\nDescribe it briefly." },
    { role: "gpt", text: "a red wall" },
  ]);
  assertEquals(pieces, [
    { text: "<image>", learned: false },
    { text: "a red wall\n", learned: true },
  ]);
});
