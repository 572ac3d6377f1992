// OpenRouter's SDK (npm `@openrouter/sdk`) with only the base URL changed: it checks each answer by its own schemas. Prints one
// JSON object: each case, "ok" or what went wrong. Started by test_openrouter_npm.py in the folder where the SDK is installed.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { HTTPClient, OpenRouter } from "@openrouter/sdk";

const serverURL = process.env.FAIRLEAD_TEST_URL + "/api/v1";
const client = (apiKey, more) => new OpenRouter({ apiKey, serverURL, retryConfig: { strategy: "none" }, ...more });
const manager = client(process.env.FAIRLEAD_TEST_MANAGEMENT_KEY);
const caller = client(process.env.FAIRLEAD_TEST_KEY);
const callers = createHash("sha256").update(process.env.FAIRLEAD_TEST_KEY).digest("hex");
const model = process.env.FAIRLEAD_TEST_MODEL;
const [author, slug] = model.split("/");
const hello = { model, messages: [{ role: "user", content: "hi" }], maxTokens: 50 };
const look = { type: "function", function: { name: "look", parameters: { type: "object", properties: {} } } };

async function eventually(what) {
  for (const end = Date.now() + 30_000; ;) {
    const found = await what();
    if (found) return found;
    assert.ok(Date.now() < end, `not in time: ${what}`);
    await sleep(100);
  }
}

async function everyPage(pages) {
  const found = [];
  for await (const page of await pages) found.push(...page.result.data);
  return found;
}

async function refused(name, status, call) {
  await assert.rejects(call, (error) => {
    assert.deepEqual([error.constructor.name, error.statusCode], [name, status], String(error));
    return true;
  });
}

const cases = {
  async chat() {
    const found = await caller.chat.send({ chatRequest: hello });
    const [choice] = found.choices;
    assert.deepEqual([found.model, choice.message.role, choice.finishReason], [model, "assistant", "stop"]);
    assert.ok(choice.message.content.length > 0);
    assert.ok(found.usage.promptTokens > 0 && found.usage.completionTokens > 0 && found.usage.cost > 0);
  },
  async streamedChat() {
    const stream = await caller.chat.send({ chatRequest: { ...hello, stream: true, streamOptions: { includeUsage: true } } });
    let text = "", ended, usage;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? "";
      ended ??= chunk.choices[0]?.finishReason;
      usage ??= chunk.usage;
    }
    assert.ok(text.length > 0);
    assert.equal(ended, "stop");
    assert.ok(usage.completionTokens > 0 && usage.cost > 0);
  },
  async toolCall() {
    const chatRequest = { ...hello, tools: [look] };
    const { choices: [choice] } = await caller.chat.send({ chatRequest });
    assert.deepEqual([choice.finishReason, choice.message.toolCalls[0].function.name], ["tool_calls", "look"]);
    let named, finished;
    for await (const chunk of await caller.chat.send({ chatRequest: { ...chatRequest, stream: true } })) {
      named ??= chunk.choices[0]?.delta.toolCalls?.[0]?.function?.name;
      finished ??= chunk.choices[0]?.finishReason;
    }
    assert.deepEqual([finished, named], ["tool_calls", "look"]);
  },
  async errors() {
    await refused("UnauthorizedResponseError", 401, client("sk-fl-nobody").chat.send({ chatRequest: hello }));
    await refused("BadRequestResponseError", 400, caller.chat.send({ chatRequest: { ...hello, messages: [] } }));
    await refused("NotFoundResponseError", 404, manager.apiKeys.get({ hash: "0".repeat(64) }));
  },
  async models() {
    const data = await everyPage(caller.models.list());
    const found = data.find((one) => one.id === model);
    assert.ok(Number(found.pricing.prompt) > 0);
    assert.deepEqual(found.architecture.outputModalities, ["text"]);
    const one = await caller.models.get({ author, slug });
    assert.equal(one.data.id, model);
    const places = await caller.endpoints.list({ author, slug });
    assert.deepEqual(places.data.endpoints.map((place) => place.providerName), ["mock"]);
    assert.equal((await caller.models.count()).data.count, data.length);
    const mine = await everyPage(caller.models.listForUser({ bearer: process.env.FAIRLEAD_TEST_KEY }));
    assert.deepEqual(mine.map((each) => each.id), data.map((each) => each.id));
  },
  async keyInfo() {
    const { data: own } = await caller.apiKeys.getCurrentKeyMetadata();
    assert.deepEqual([own.isManagementKey, own.limit], [false, 3]);
    assert.equal((await manager.apiKeys.getCurrentKeyMetadata()).data.isManagementKey, true);
  },
  async keys() {
    const ends = new Date(Date.now() + 86_400_000);
    const made = await manager.apiKeys.create({
      requestBody: { name: "from npm", limit: 2.5, limitReset: "monthly", expiresAt: ends },
    });
    const { hash } = made.data;
    assert.equal(hash, createHash("sha256").update(made.key).digest("hex"));
    assert.deepEqual([made.data.limit, made.data.limitRemaining, made.data.limitReset], [2.5, 2.5, "monthly"]);
    assert.ok(Math.abs(made.data.expiresAt - ends) < 1000);
    const used = client(made.key);
    assert.equal((await used.chat.send({ chatRequest: hello })).choices.length, 1);
    await eventually(async () => (await manager.apiKeys.get({ hash })).data.usage > 0);
    const has = async (request) => (await manager.apiKeys.list(request)).data.some((one) => one.hash === hash);
    assert.ok(await has());
    const change = { name: "renamed", limit: 1, limitReset: null, disabled: true };
    const { data } = await manager.apiKeys.update({ hash, requestBody: change });
    assert.deepEqual([data.name, data.limit, data.limitReset, data.disabled], ["renamed", 1, null, true]);
    assert.deepEqual([await has(), await has({ includeDisabled: true })], [false, true]);
    assert.equal((await manager.apiKeys.delete({ hash })).deleted, true);
    await refused("NotFoundResponseError", 404, manager.apiKeys.delete({ hash }));
    await eventually(() => used.chat.send({ chatRequest: hello }).then(() => false, (error) => error.statusCode === 401));
  },
  async credits() {
    const { data } = await manager.credits.getCredits();
    assert.ok(data.totalCredits >= 3 && data.totalUsage >= 0);
  },
  async activity() {
    const date = new Date().toISOString().slice(0, 10);
    const rows = await eventually(async () => {
      const { data } = await manager.analytics.getUserActivity({ apiKeyHash: callers });
      return data.some((one) => one.model === model && one.requests >= 2) && data;
    });
    const row = rows.find((one) => one.model === model);
    assert.deepEqual([row.date, row.providerName], [date, "mock"]);
    assert.ok(row.usage > 0 && row.promptTokens > 0 && row.completionTokens > 0);
  },
  async providers() {
    const { data } = await caller.providers.list();
    assert.deepEqual(data.map((one) => one.slug), ["mock"]);
  },
  async generation() {
    let id;
    const httpClient = new HTTPClient();
    httpClient.addHook("response", (response) => { id = response.headers.get("x-fairlead-generation-id"); });
    await client(process.env.FAIRLEAD_TEST_KEY, { httpClient }).chat.send({ chatRequest: hello });
    const { data } = await eventually(() => caller.generations.getGeneration({ id }).catch((error) => {
      if (error.statusCode !== 404) throw error;
    }));
    assert.deepEqual([data.id, data.model, data.providerName], [id, model, "mock"]);
    assert.ok(data.totalCost > 0 && data.tokensPrompt > 0);
  },
  async brokenStream() {
    const messages = [{ role: "user", content: "This breaks." }];
    const chunks = [];
    for await (const chunk of await caller.chat.send({ chatRequest: { ...hello, messages, stream: true } })) {
      chunks.push(chunk);
    }
    const { error, choices } = chunks.at(-1);
    assert.ok(chunks.length > 3 && chunks.slice(0, -1).every((chunk) => !chunk.error));
    assert.deepEqual([error.code, error.metadata.errorType, choices[0].finishReason], [502, "upstream_cut", "error"]);
    assert.ok(error.message.length > 10);
  },
};

const found = {};
for (const [name, run] of Object.entries(cases)) {
  try {
    await run();
    found[name] = "ok";
  } catch (error) {
    found[name] = `${error?.stack ?? error} ${JSON.stringify(error?.cause ?? error?.rawValue ?? "")}`.slice(0, 1500);
  }
}
console.log(JSON.stringify(found));
process.exit(0);
