// A request as code that runs as it stands, with the key in FAIRLEAD_API_KEY: curl, Python and TypeScript with the
// client that people use for the API.

const quoted = text => `'${text.replaceAll("'", "'\\''")}'`;
const NAME = /^[A-Za-z_$][\w$]*$/;
// What OpenAI's client for Python takes by name; anything else goes into `extra_body`.
const OPENAI = {
  chat: new Set("model messages audio frequency_penalty logit_bias logprobs max_completion_tokens max_tokens metadata modalities n parallel_tool_calls prediction presence_penalty prompt_cache_key reasoning_effort response_format safety_identifier seed service_tier stop store temperature tool_choice tools top_logprobs top_p user verbosity web_search_options".split(" ")),
  responses: new Set("model input include instructions max_output_tokens max_tool_calls metadata parallel_tool_calls previous_response_id prompt reasoning service_tier store temperature text tool_choice tools top_logprobs top_p truncation user".split(" ")),
};
// Its newest versions take no sampling parameters by name; older ones take them in `extra_body`, too.
const ANTHROPIC = new Set("model max_tokens messages metadata output_config service_tier stop_sequences system thinking tool_choice tools".split(" "));

function python(value, pad = "") {
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const deeper = `${pad}    `;
  const rows = Array.isArray(value) ? value.map(one => python(one, deeper)) : Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}: ${python(one, deeper)}`);
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  return rows.length ? flat(rows, open, close) ?? `${open}\n${rows.map(row => `${deeper}${row},\n`).join("")}${pad}${close}` : open + close;
}

function script(value, pad = "") {
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const deeper = `${pad}  `;
  const rows = Array.isArray(value) ? value.map(one => script(one, deeper)) : Object.entries(value).map(([name, one]) => `${NAME.test(name) ? name : JSON.stringify(name)}: ${script(one, deeper)}`);
  const [open, close] = Array.isArray(value) ? "[]" : ["{ ", " }"];
  return rows.length ? flat(rows, open, close) ?? `${open.trim()}\n${rows.map(row => `${deeper}${row},\n`).join("")}${pad}${close.trim()}` : (open + close).replaceAll(" ", "");
}

// Short ones stand in one line.
function flat(rows, open, close) {
  const one = open + rows.join(", ") + close;
  return one.length <= 72 && !one.includes("\n") ? one : null;
}

function named(body, known) {
  const own = {}, extra = {};
  for (const [name, value] of Object.entries(body)) (known.has(name) ? own : extra)[name] = value;
  return [own, extra];
}

const keywords = values => Object.entries(values).map(([name, value]) => `    ${name}=${python(value, "    ")},\n`).join("");
const members = values => Object.entries(values).map(([name, value]) => `  ${NAME.test(name) ? name : JSON.stringify(name)}: ${script(value, "  ")},\n`).join("");

// Gemini's clients take one `config` for what the API keeps in several places.
function configured(body) {
  const { contents, generationConfig, ...rest } = body;
  return [contents, { ...rest, ...(generationConfig ?? {}) }];
}

export const LANGUAGES = { curl: "curl", python: "Python", typescript: "TypeScript" };

// `asked`: of `request`, not streamed; `origin`: of this server.
export function code(language, door, asked, origin) {
  const { body } = asked, base = JSON.stringify(`${origin}/v1`), root = JSON.stringify(origin);
  if (language === "curl") {
    const more = Object.entries(door.headers ?? {}).map(([name, value]) => `  -H "${name}: ${value}" \\\n`).join("");
    return `curl ${quoted(origin + asked.path).replace(/^'([\w:/.,@-]+)'$/, "$1")} \\\n  -H "Authorization: Bearer $FAIRLEAD_API_KEY" \\\n  -H "Content-Type: application/json" \\\n${more}  -d ${quoted(JSON.stringify(body, null, 2))}`;
  }
  if (language === "python") {
    const key = 'os.environ["FAIRLEAD_API_KEY"]';
    if (door.name === "gemini") {
      const [contents, config] = configured(body);
      return `import os\nfrom google import genai\n\nclient = genai.Client(api_key=${key}, http_options={"base_url": ${root}})\nanswer = client.models.generate_content(\n${keywords({ model: asked.model, contents, ...(Object.keys(config).length ? { config } : {}) })})\nprint(answer.text)`;
    }
    if (door.name === "messages") {
      const [own, extra] = named(body, ANTHROPIC);
      return `import os\nfrom anthropic import Anthropic\n\nclient = Anthropic(base_url=${root}, api_key=${key})\nmessage = client.messages.create(\n${keywords({ ...own, ...(Object.keys(extra).length ? { extra_body: extra } : {}) })})\nfor block in message.content:\n    print(block.text if block.type == "text" else block)`;
    }
    const [own, extra] = named(body, OPENAI[door.name]);
    const call = keywords({ ...own, ...(Object.keys(extra).length ? { extra_body: extra } : {}) });
    const made = `import os\nfrom openai import OpenAI\n\nclient = OpenAI(base_url=${base}, api_key=${key})\n`;
    return door.name === "chat"
      ? `${made}answer = client.chat.completions.create(\n${call})\nmessage = answer.choices[0].message\nprint(message.content or message.tool_calls)`
      : `${made}answer = client.responses.create(\n${call})\nprint(answer.output_text or answer.output)`;
  }
  const key = "process.env.FAIRLEAD_API_KEY";
  if (door.name === "gemini") {
    const [contents, config] = configured(body);
    return `import { GoogleGenAI } from "@google/genai";\n\nconst client = new GoogleGenAI({ apiKey: ${key}, httpOptions: { baseUrl: ${root} } });\nconst answer = await client.models.generateContent({\n${members({ model: asked.model, contents, ...(Object.keys(config).length ? { config } : {}) })}});\nconsole.log(answer.text);`;
  }
  if (door.name === "messages") return `import Anthropic from "@anthropic-ai/sdk";\n\nconst client = new Anthropic({ baseURL: ${root}, apiKey: ${key} });\nconst message = await client.messages.create({\n${members(body)}});\nconsole.log(message.content);`;
  const made = `import OpenAI from "openai";\n\nconst client = new OpenAI({ baseURL: ${base}, apiKey: ${key} });\n`;
  return door.name === "chat"
    ? `${made}const answer = await client.chat.completions.create({\n${members(body)}});\nconsole.log(answer.choices[0].message);`
    : `${made}const answer = await client.responses.create({\n${members(body)}});\nconsole.log(answer.output_text || answer.output);`;
}
