// Settings as a link. The fragment never reaches a server; it holds models, API and parameters, and nothing that
// somebody wrote: no prompt, no message, no tool, no schema, no key.

const PLAIN = /^[\w.:/@-]{1,128}$/;
const MOST_COLUMNS = 4, LONGEST = 4096;
const FREE_TEXT = new Set(["stop", "logit_bias", "structured_outputs", "web_search_options", "reasoning"]);

export function written(settings, models) {
  const parameters = Object.fromEntries(Object.entries(settings.parameters).filter(([name]) => !FREE_TEXT.has(name)));
  const text = JSON.stringify({ m: models.filter(Boolean), d: settings.door, p: parameters });
  return `s=${btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")}`;
}

// What a fragment says: {models, door, parameters}, or null. It comes from anywhere, so only plain values are taken.
export function read(fragment, doors) {
  const found = /^#?s=([\w-]+)$/.exec(fragment);
  if (!found || found[1].length > LONGEST) return null;
  try {
    const { m, d, p } = JSON.parse(atob(found[1].replaceAll("-", "+").replaceAll("_", "/")));
    const models = (Array.isArray(m) ? m : []).filter(one => typeof one === "string" && PLAIN.test(one)).slice(0, MOST_COLUMNS);
    const parameters = {};
    for (const [name, value] of Object.entries(p ?? {}))
      if (PLAIN.test(name) && !FREE_TEXT.has(name) && (typeof value === "number" || typeof value === "boolean" || typeof value === "string" && PLAIN.test(value))) parameters[name] = value;
    return { models, door: Object.hasOwn(doors, d) ? d : "chat", parameters };
  } catch { return null; }
}
