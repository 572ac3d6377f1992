// Vercel's AI SDK at our doors: each case with each provider package, at each API of providers. Prints one JSON object: case,
// door and API, "ok" or what went wrong. Started by test_ai_sdk.py in the folder where the packages are installed.
import assert from "node:assert/strict";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import {
  APICallError, Output, embed, embedMany, experimental_generateSpeech, experimental_transcribe, generateImage,
  generateObject, generateText, stepCountIs, streamText, tool,
} from "ai";
import { z } from "zod";

const dialects = process.env.FAIRLEAD_TEST_DIALECTS.split(",");
const url = process.env.FAIRLEAD_TEST_URL;
const apiKey = process.env.FAIRLEAD_TEST_KEY;
const openai = createOpenAI({ baseURL: `${url}/v1`, apiKey });
const compatible = createOpenAICompatible({
  name: "fairlead", baseURL: `${url}/v1`, apiKey, includeUsage: true, supportsStructuredOutputs: true,
});
const anthropic = createAnthropic({ baseURL: `${url}/v1`, apiKey });
const google = createGoogleGenerativeAI({ baseURL: `${url}/v1beta`, apiKey });

const doors = {
  chat: (model) => openai.chat(model),
  compatible: (model) => compatible(model),
  responses: (model) => openai.responses(model),
  messages: (model) => anthropic(model),
  gemini: (model) => google(model),
};

const hello = "Hello, how are you?";
const weather = "What is the weather in 'Oslo'?";
const place = z.object({ city: z.string() });
const tools = {
  look: tool({ description: "Looks.", inputSchema: place, execute: ({ city }) => `${city} is wet.` }),
};
const png = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==", "base64");
const common = { maxRetries: 0 };

async function all(parts) {
  const found = [];
  for await (const part of parts) found.push(part);
  return found;
}

const cases = {
  async text(model) {
    const found = await generateText({ ...common, model: model("follows"), system: "Be brief.", prompt: "Hi" });
    assert.equal(found.text, hello);
    assert.equal(found.finishReason, "stop");
    assert.ok(found.usage.inputTokens > 0 && found.usage.outputTokens > 0);
  },
  async streamedText(model) {
    const found = streamText({ ...common, model: model("follows"), prompt: "Hi" });
    assert.equal((await all(found.textStream)).join(""), hello);
    assert.equal(await found.finishReason, "stop");
    assert.ok((await found.usage).inputTokens > 0);
  },
  async toolLoop(model) {
    const found = await generateText({
      ...common, model: model("follows"), prompt: weather, tools, stopWhen: stepCountIs(3),
    });
    assert.equal(found.steps.length, 2);
    assert.deepEqual(found.steps[0].toolCalls.map((call) => call.input), [{ city: "Oslo" }]);
    assert.match(found.text, /^The tool says: .*Oslo is wet\./);
  },
  async streamedToolLoop(model) {
    const found = streamText({
      ...common, model: model("follows"), prompt: weather, tools, stopWhen: stepCountIs(3), toolChoice: "auto",
    });
    const kinds = (await all(found.fullStream)).map((part) => part.type);
    assert.ok(!kinds.includes("error"), kinds.join());
    assert.ok(kinds.includes("tool-call") && kinds.includes("tool-result"), kinds.join());
    assert.match(await found.text, /^The tool says: .*Oslo is wet\./);
  },
  async forcedTool(model) {
    const found = await generateText({
      ...common, model: model("follows"), prompt: weather, tools, toolChoice: { type: "tool", toolName: "look" },
    });
    assert.equal(found.toolCalls[0].toolName, "look");
  },
  async object(model) {
    const found = await generateObject({ ...common, model: model("follows"), schema: place, prompt: weather });
    assert.deepEqual(found.object, { city: "Oslo" });
  },
  async output(model) {
    const found = await generateText({
      ...common, model: model("follows"), output: Output.object({ schema: place }), prompt: weather,
    });
    assert.deepEqual(found.output, { city: "Oslo" });
  },
  async streamedOutput(model) {
    const found = streamText({
      ...common, model: model("follows"), output: Output.object({ schema: place }), prompt: weather,
    });
    assert.deepEqual((await all(found.partialOutputStream)).at(-1), { city: "Oslo" });
  },
  async conversation(model) {
    const found = await generateText({
      ...common, model: model("follows"),
      messages: [
        { role: "user", content: "Hi" }, { role: "assistant", content: "Hello." },
        { role: "user", content: [
          { type: "text", text: "What is this?" }, { type: "image", image: png, mediaType: "image/png" },
          { type: "file", data: Buffer.from("%PDF-1.4"), mediaType: "application/pdf", filename: "a.pdf" },
        ] },
      ],
    });
    assert.equal(found.text, hello);
  },
  async unknownModel(model) {
    await assert.rejects(
      generateText({ ...common, model: model("nothing-of-the-kind"), prompt: "Hi" }),
      (error) => APICallError.isInstance(error) && error.statusCode === 404 && /nothing-of-the-kind/.test(error.message),
    );
  },
  async brokenStream(model) {
    const errors = [];
    const found = streamText({ ...common, model: model("breaks"), prompt: "Hi", onError: ({ error }) => errors.push(error) });
    const parts = await all(found.fullStream);
    assert.ok(parts.some((part) => part.type === "error") || parts.at(-1).finishReason === "error", JSON.stringify(parts.at(-1)));
  },
};

const others = {
  async "embeddings openai"() {
    const found = await embedMany({ ...common, model: openai.embedding("embeds"), values: ["a", "b"] });
    assert.equal(found.embeddings.length, 2);
    assert.ok(found.usage.tokens > 0);
  },
  async "embeddings compatible"() {
    const found = await embed({ ...common, model: compatible.embeddingModel("embeds"), value: "a" });
    assert.ok(found.embedding.length > 1);
  },
  async "image openai"() {
    const found = await generateImage({ ...common, model: openai.image("draws"), prompt: "A boat", size: "1024x1024" });
    assert.deepEqual(Buffer.from(found.image.uint8Array), png);
  },
  async "image compatible"() {
    const found = await generateImage({ ...common, model: compatible.imageModel("draws"), prompt: "A boat" });
    assert.deepEqual(Buffer.from(found.image.uint8Array), png);
  },
  async "speech openai"() {
    const found = await experimental_generateSpeech({ ...common, model: openai.speech("says"), text: "Hi", voice: "alloy" });
    assert.equal(Buffer.from(found.audio.uint8Array).toString(), "ID3 sound");
  },
  async "transcription openai"() {
    const found = await experimental_transcribe({ ...common, model: openai.transcription("hears"), audio: Buffer.from("RIFF\0\0\0\0WAVE") });
    assert.equal(found.text, "Hello.");
  },
};

const jobs = Object.entries(others).map(([name, run]) => [name, run]);
for (const [name, run] of Object.entries(cases)) {
  for (const [door, model] of Object.entries(doors)) {
    for (const dialect of dialects) {
      jobs.push([`${name} ${door} ${dialect}`, () => run((role) => model(`${role}-${dialect}`))]);
    }
  }
}
const results = {};
await Promise.all(jobs.map(async ([name, run]) => {
  try {
    await run();
    results[name] = "ok";
  } catch (error) {
    results[name] = `${error?.message ?? error} ${error?.responseBody ?? ""} ${error?.cause?.message ?? ""}`.slice(0, 1500);
  }
}));
console.log(JSON.stringify(results));
