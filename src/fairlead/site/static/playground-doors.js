// The four APIs of the gateway behind one shape. A door writes a conversation as its API's request, and reads the API's
// stream as neutral events:
//   {type: "text" | "thinking", text, choice}   a piece of the answer (choice 0, or others where n > 1)
//   {type: "call", at, id, name} and {type: "arguments", at, text}   a tool call, then pieces of its arguments
//   {type: "media", mime, data}                  an image or audio in base64
//   {type: "finish", reason} · {type: "usage", input, output, cached, reasoning, cost} · {type: "error", message, code}
// A message is {role: "user", parts}, {role: "assistant", text, calls, native} or {role: "tool", results}; `native` is
// what the same door wants to get back (signatures, encrypted reasoning).

const json = text => { try { return JSON.parse(text); } catch { return null; } };
const object = text => { const value = json(text); return value && typeof value === "object" && !Array.isArray(value) ? value : {}; };
const dataUrl = part => `data:${part.mime};base64,${part.data}`;
const audioFormat = mime => ({ "audio/mpeg": "mp3", "audio/mp3": "mp3", "audio/wav": "wav", "audio/x-wav": "wav", "audio/wave": "wav" })[mime] ?? mime.split("/")[1].split(";")[0];
const given = value => value !== undefined && value !== null && value !== "";
// What a path's segment may hold; ":" and "/" of a model's id stay, as its clients send them.
const segment = id => encodeURIComponent(id).replaceAll("%3A", ":").replaceAll("%2F", "/");

// Puts a value at "generationConfig.topP" of a body.
export function put(body, path, value) {
  const names = path.split(".");
  let at = body;
  for (const name of names.slice(0, -1)) at = at[name] ??= {};
  at[names.at(-1)] = value;
}

function usage(input, output, cached, reasoning, cost) {
  return { type: "usage", input: input ?? null, output: output ?? null, cached: cached ?? 0, reasoning: reasoning ?? 0, cost: cost ?? null };
}

function failed(error, status) {
  const detail = error.details?.find?.(one => one.metadata?.code)?.metadata;
  return { type: "error", message: String(error.message ?? status ?? ""), code: String(detail?.code ?? error.fairlead_code ?? error.code ?? "") };
}

const chat = {
  name: "chat", title: "Chat completions", takes: ["image", "audio", "file", "video"],
  carries: {
    temperature: "temperature", top_p: "top_p", top_k: "top_k", min_p: "min_p", top_a: "top_a", max_tokens: "max_tokens",
    max_completion_tokens: "max_completion_tokens", stop: "stop", seed: "seed", n: "n",
    frequency_penalty: "frequency_penalty", presence_penalty: "presence_penalty", repetition_penalty: "repetition_penalty",
    reasoning_effort: "reasoning_effort", reasoning: "reasoning", include_reasoning: "include_reasoning", verbosity: "verbosity",
    logprobs: "logprobs", top_logprobs: "top_logprobs", logit_bias: "logit_bias", parallel_tool_calls: "parallel_tool_calls",
    structured_outputs: "structured_outputs", web_search_options: "web_search_options",
  },
  path: () => "/v1/chat/completions",
  body(model, settings, messages, stream) {
    const body = { model, messages: [] };
    if (settings.system) body.messages.push({ role: "system", content: settings.system });
    for (const message of messages) {
      if (message.role === "user") body.messages.push({ role: "user", content: plainOr(message.parts, part =>
        part.type === "image" ? { type: "image_url", image_url: { url: dataUrl(part) } }
          : part.type === "audio" ? { type: "input_audio", input_audio: { data: part.data, format: audioFormat(part.mime) } }
            : part.type === "video" ? { type: "video_url", video_url: { url: dataUrl(part) } }
              : part.type === "file" ? { type: "file", file: { filename: part.name, file_data: dataUrl(part) } }
                : { type: "text", text: part.text }) });
      else if (message.role === "tool") for (const one of message.results) body.messages.push({ role: "tool", tool_call_id: one.id, content: one.content });
      else body.messages.push({ role: "assistant", content: message.text || (message.calls.length ? null : ""), ...(message.native ?? {}),
        ...(message.calls.length ? { tool_calls: message.calls.map(one => ({ id: one.id, type: "function", function: { name: one.name, arguments: one.arguments || "{}" } })) } : {}) });
    }
    if (settings.tools.length) body.tools = settings.tools.map(one => ({ type: "function", function: { name: one.name, ...(one.description ? { description: one.description } : {}), parameters: object(one.parameters) } }));
    if (settings.tools.length && settings.choice) body.tool_choice = settings.choice;
    if (settings.output === "json_object") body.response_format = { type: "json_object" };
    if (settings.output === "json_schema") body.response_format = { type: "json_schema", json_schema: { name: "answer", schema: object(settings.schema), strict: true } };
    if (stream) Object.assign(body, { stream: true, stream_options: { include_usage: true } });
    return body;
  },
  reader() {
    const details = [];
    return {
      native: () => details.length ? { reasoning_details: details } : null,
      * read(_event, data) {
        if (data.error) { yield failed(data.error); return; }
        for (const choice of data.choices ?? []) {
          const delta = choice.delta ?? {}, at = choice.index ?? 0;
          const thought = delta.reasoning_content ?? delta.reasoning;
          if (thought) yield { type: "thinking", text: thought, choice: at };
          if (at === 0) for (const one of delta.reasoning_details ?? []) details.push(one);
          if (delta.content) yield { type: "text", text: delta.content, choice: at };
          if (delta.refusal) yield { type: "text", text: delta.refusal, choice: at };
          if (delta.audio?.data) yield { type: "media", mime: "audio/wav", data: delta.audio.data };
          if (delta.audio?.transcript) yield { type: "text", text: delta.audio.transcript, choice: at };
          for (const one of at === 0 ? delta.tool_calls ?? [] : []) {
            if (one.function?.name) yield { type: "call", at: one.index ?? 0, id: one.id, name: one.function.name };
            if (one.function?.arguments) yield { type: "arguments", at: one.index ?? 0, text: one.function.arguments };
          }
          if (choice.finish_reason && at === 0) yield { type: "finish", reason: choice.finish_reason };
        }
        const used = data.usage;
        if (used) yield usage(used.prompt_tokens, used.completion_tokens, used.prompt_tokens_details?.cached_tokens, used.completion_tokens_details?.reasoning_tokens, used.cost_usd);
      },
    };
  },
};

const messages = {
  name: "messages", title: "Messages", takes: ["image", "file"],
  carries: {
    max_tokens: "max_tokens", max_completion_tokens: "max_tokens", temperature: "temperature", top_p: "top_p", top_k: "top_k",
    stop: "stop_sequences", reasoning_effort: "output_config.effort", parallel_tool_calls: "tool_choice.disable_parallel_tool_use",
  },
  headers: { "anthropic-version": "2023-06-01" },
  leastTokens: 4096, // the API wants a bound; this one is sent where none is chosen
  path: () => "/v1/messages",
  body(model, settings, turns, stream) {
    const body = { model, max_tokens: this.leastTokens, messages: [] };
    if (settings.system) body.system = settings.system;
    for (const message of turns) {
      if (message.role === "user") body.messages.push({ role: "user", content: plainOr(message.parts, part =>
        part.type === "image" ? { type: "image", source: { type: "base64", media_type: part.mime, data: part.data } }
          : part.type === "file" ? { type: "document", title: part.name, source: { type: "base64", media_type: part.mime, data: part.data } }
            : { type: "text", text: part.text }) });
      else if (message.role === "tool") body.messages.push({ role: "user", content: message.results.map(one => ({ type: "tool_result", tool_use_id: one.id, content: one.content })) });
      else body.messages.push({ role: "assistant", content: message.native ?? [
        ...(message.text || !message.calls.length ? [{ type: "text", text: message.text || "…" }] : []),
        ...message.calls.map(one => ({ type: "tool_use", id: one.id, name: one.name, input: object(one.arguments) }))] });
    }
    if (settings.tools.length) {
      body.tools = settings.tools.map(one => ({ name: one.name, ...(one.description ? { description: one.description } : {}), input_schema: { type: "object", ...object(one.parameters) } }));
      if (settings.choice) body.tool_choice = { type: { auto: "auto", required: "any", none: "none" }[settings.choice] };
    }
    if (settings.output !== "text") put(body, "output_config.format", { type: "json_schema", schema: settings.output === "json_schema" ? object(settings.schema) : { type: "object" } });
    if (stream) body.stream = true;
    return body;
  },
  adjust(body) { // what this API says the other way round, and only together with tools
    const parallel = body.tool_choice?.disable_parallel_tool_use;
    if (parallel === undefined) return;
    if (!body.tools) delete body.tool_choice;
    else body.tool_choice = { type: "auto", ...body.tool_choice, disable_parallel_tool_use: !parallel };
  },
  reader() {
    const blocks = [], pieces = {};
    return {
      native: () => blocks.some(one => one?.type === "thinking" || one?.type === "redacted_thinking")
        ? blocks.filter(Boolean).map((one, at) => one.type === "tool_use" ? { ...one, input: object(pieces[at] ?? "") } : one) : null,
      * read(event, data) {
        const type = data.type ?? event;
        if (type === "error") yield failed(data.error ?? {});
        if (type === "content_block_start") {
          const block = blocks[data.index] = { ...data.content_block };
          if (block.type === "tool_use") yield { type: "call", at: data.index, id: block.id, name: block.name };
          if (block.type === "text" && block.text) yield { type: "text", text: block.text, choice: 0 };
        }
        if (type === "content_block_delta") {
          const delta = data.delta, block = blocks[data.index] ?? {};
          if (delta.type === "text_delta") { block.text = (block.text ?? "") + delta.text; yield { type: "text", text: delta.text, choice: 0 }; }
          if (delta.type === "thinking_delta") { block.thinking = (block.thinking ?? "") + delta.thinking; yield { type: "thinking", text: delta.thinking, choice: 0 }; }
          if (delta.type === "signature_delta") block.signature = (block.signature ?? "") + delta.signature;
          if (delta.type === "input_json_delta") { pieces[data.index] = (pieces[data.index] ?? "") + delta.partial_json; yield { type: "arguments", at: data.index, text: delta.partial_json }; }
        }
        if (type === "message_delta") {
          if (data.delta?.stop_reason) yield { type: "finish", reason: data.delta.stop_reason };
          const used = data.usage;
          if (used) {
            const cached = used.cache_read_input_tokens ?? 0, prompt = used.input_tokens == null ? null : used.input_tokens + cached + (used.cache_creation_input_tokens ?? 0);
            yield usage(prompt, used.output_tokens, cached, used.output_tokens_details?.thinking_tokens, used.cost_usd);
          }
        }
      },
    };
  },
};

const responses = {
  name: "responses", title: "Responses", takes: ["image", "audio", "file"],
  carries: {
    temperature: "temperature", top_p: "top_p", max_tokens: "max_output_tokens", max_completion_tokens: "max_output_tokens",
    frequency_penalty: "frequency_penalty", presence_penalty: "presence_penalty", reasoning_effort: "reasoning.effort",
    verbosity: "text.verbosity", top_logprobs: "top_logprobs", parallel_tool_calls: "parallel_tool_calls",
  },
  path: () => "/v1/responses",
  body(model, settings, turns, stream) {
    const body = { model, input: [], store: false, include: ["reasoning.encrypted_content"] };
    if (settings.system) body.instructions = settings.system;
    for (const message of turns) {
      if (message.role === "user") body.input.push({ role: "user", content: plainOr(message.parts, part =>
        part.type === "image" ? { type: "input_image", image_url: dataUrl(part) }
          : part.type === "audio" ? { type: "input_audio", input_audio: { data: part.data, format: audioFormat(part.mime) } }
            : part.type === "file" ? { type: "input_file", filename: part.name, file_data: dataUrl(part) }
              : { type: "input_text", text: part.text }) });
      else if (message.role === "tool") for (const one of message.results) body.input.push({ type: "function_call_output", call_id: one.id, output: one.content });
      else if (message.native) body.input.push(...message.native);
      else {
        if (message.text) body.input.push({ role: "assistant", content: message.text });
        for (const one of message.calls) body.input.push({ type: "function_call", call_id: one.id, name: one.name, arguments: one.arguments || "{}" });
      }
    }
    if (settings.tools.length) body.tools = settings.tools.map(one => ({ type: "function", name: one.name, ...(one.description ? { description: one.description } : {}), parameters: object(one.parameters) }));
    if (settings.tools.length && settings.choice) body.tool_choice = settings.choice;
    if (settings.output === "json_object") put(body, "text.format", { type: "json_object" });
    if (settings.output === "json_schema") put(body, "text.format", { type: "json_schema", name: "answer", schema: object(settings.schema), strict: true });
    if (stream) body.stream = true;
    return body;
  },
  reader() {
    let output = null;
    return {
      native: () => output?.some(one => one.type === "reasoning") ? output : null,
      * read(event, data) {
        const type = data.type ?? event;
        if (type === "error" || data.error && !data.response) yield failed(data.error ?? data);
        if (type === "response.output_text.delta" || type === "response.refusal.delta") yield { type: "text", text: data.delta, choice: 0 };
        if (type === "response.reasoning_summary_text.delta" || type === "response.reasoning_text.delta") yield { type: "thinking", text: data.delta, choice: 0 };
        if (type === "response.output_item.added" && data.item?.type === "function_call") yield { type: "call", at: data.output_index, id: data.item.call_id, name: data.item.name };
        if (type === "response.function_call_arguments.delta") yield { type: "arguments", at: data.output_index, text: data.delta };
        if (["response.completed", "response.incomplete", "response.failed"].includes(type)) {
          const whole = data.response ?? {}, used = whole.usage;
          output = whole.output ?? null;
          if (whole.error) yield failed(whole.error);
          yield { type: "finish", reason: whole.incomplete_details?.reason ?? whole.status };
          if (used) yield usage(used.input_tokens, used.output_tokens, used.input_tokens_details?.cached_tokens, used.output_tokens_details?.reasoning_tokens, used.cost_usd);
        }
      },
    };
  },
};

const gemini = {
  name: "gemini", title: "Gemini", takes: ["image", "audio", "file", "video"],
  carries: {
    temperature: "generationConfig.temperature", top_p: "generationConfig.topP", top_k: "generationConfig.topK", seed: "generationConfig.seed",
    max_tokens: "generationConfig.maxOutputTokens", max_completion_tokens: "generationConfig.maxOutputTokens", stop: "generationConfig.stopSequences",
    frequency_penalty: "generationConfig.frequencyPenalty", presence_penalty: "generationConfig.presencePenalty",
    reasoning_effort: "generationConfig.thinkingConfig.thinkingLevel", logprobs: "generationConfig.responseLogprobs", top_logprobs: "generationConfig.logprobs",
  },
  path: (model, stream) => `/v1beta/models/${segment(model)}:${stream ? "streamGenerateContent?alt=sse" : "generateContent"}`,
  body(_model, settings, turns) {
    const body = { contents: [] };
    if (settings.system) body.systemInstruction = { parts: [{ text: settings.system }] };
    for (const message of turns) {
      if (message.role === "user") body.contents.push({ role: "user", parts: message.parts.map(part => part.type === "text" ? { text: part.text } : { inlineData: { mimeType: part.mime, data: part.data } }) });
      else if (message.role === "tool") body.contents.push({ role: "user", parts: message.results.map(one => ({ functionResponse: { id: one.id, name: one.name, response: { result: one.content } } })) });
      else body.contents.push({ role: "model", parts: message.native ?? [
        ...(message.text ? [{ text: message.text }] : []),
        ...message.calls.map(one => ({ functionCall: { id: one.id, name: one.name, args: object(one.arguments) } }))] });
    }
    if (settings.tools.length) {
      body.tools = [{ functionDeclarations: settings.tools.map(one => ({ name: one.name, ...(one.description ? { description: one.description } : {}), parametersJsonSchema: object(one.parameters) })) }];
      if (settings.choice) body.toolConfig = { functionCallingConfig: { mode: { auto: "AUTO", required: "ANY", none: "NONE" }[settings.choice] } };
    }
    if (settings.output !== "text") put(body, "generationConfig.responseMimeType", "application/json");
    if (settings.output === "json_schema") put(body, "generationConfig.responseJsonSchema", object(settings.schema));
    return body;
  },
  reader() {
    const parts = [];
    let calls = 0;
    return {
      native: () => parts.some(one => one.thoughtSignature) ? parts : null,
      * read(_event, data) {
        if (data.error) { yield failed(data.error); return; }
        const candidate = data.candidates?.[0];
        for (const part of candidate?.content?.parts ?? []) {
          parts.push(part);
          if (part.text) yield { type: part.thought ? "thinking" : "text", text: part.text, choice: 0 };
          if (part.inlineData) yield { type: "media", mime: part.inlineData.mimeType, data: part.inlineData.data };
          if (part.functionCall) {
            const at = calls++;
            yield { type: "call", at, id: part.functionCall.id ?? `call_${at}`, name: part.functionCall.name };
            yield { type: "arguments", at, text: JSON.stringify(part.functionCall.args ?? {}) };
          }
        }
        if (candidate?.finishReason) yield { type: "finish", reason: candidate.finishReason };
        const used = data.usageMetadata;
        if (used && given(used.promptTokenCount)) yield usage(used.promptTokenCount, (used.candidatesTokenCount ?? 0) + (used.thoughtsTokenCount ?? 0), used.cachedContentTokenCount, used.thoughtsTokenCount, used.cost_usd);
      },
    };
  },
};

export const DOORS = { chat, messages, responses, gemini };

// A text alone stays a string: what people write themselves.
function plainOr(parts, write) {
  return parts.length === 1 && parts[0].type === "text" ? parts[0].text : parts.map(write);
}

// The request of a conversation: where it goes and what it says. `native` goes back only to the door and model it is of.
export function request(door, model, settings, turns, stream = true) {
  const own = turns.map(one => one.role === "assistant" && !(one.door === door.name && one.model === model) ? { ...one, native: null } : one);
  const body = door.body(model, settings, own, stream);
  for (const [name, value] of Object.entries(settings.parameters)) if (door.carries[name] && given(value)) put(body, door.carries[name], value);
  door.adjust?.(body);
  Object.assign(body, object(settings.extra));
  return { path: door.path(model, stream), body };
}

// Server-sent events of a response's body, one after the other, as [event, data].
export async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "", event = "", lines = [];
  for (;;) {
    const { value, done } = await reader.read();
    rest += value ?? "";
    const found = rest.split(/\r\n|\n|\r(?!$)/);
    rest = done ? "" : found.pop();
    for (const line of found) {
      if (line === "") {
        const data = lines.join("\n");
        if (data && data !== "[DONE]") { const read = json(data); if (read) yield [event, read]; }
        event = ""; lines = [];
      } else if (line.startsWith("data:")) lines.push(line.slice(5).replace(/^ /, ""));
      else if (line.startsWith("event:")) event = line.slice(6).trim();
    }
    if (done) return;
  }
}

// One call, as neutral events. The first is {type: "head", generation, status}; a refusal is an event, too.
export async function* call(door, key, asked, signal) {
  const answer = await fetch(asked.path, {
    method: "POST", signal, credentials: "omit", cache: "no-store",
    headers: { "content-type": "application/json", authorization: `Bearer ${key}`, ...(door.headers ?? {}) },
    body: JSON.stringify(asked.body),
  });
  yield { type: "head", status: answer.status, generation: answer.headers.get("x-fairlead-generation-id"), deployment: answer.headers.get("x-fairlead-deployment"), dropped: answer.headers.get("x-fairlead-dropped") };
  if (!answer.ok) {
    const text = await answer.text(), said = json(text)?.error;
    yield said ? failed(said, answer.status) : { type: "error", message: `${answer.status} ${answer.statusText}`, code: "" };
    return;
  }
  const reader = door.reader();
  for await (const [event, data] of events(answer.body)) yield* reader.read(event, data);
  yield { type: "native", native: reader.native() };
}
