// The settings of the playground: the API, parameters with the model's ranges, tools, the format of the answer.

import { DOORS } from "./playground-doors.js";
import { button, fill, make, words } from "./playground-view.js";

const by = id => document.getElementById(id);
const isObject = text => { if (!text.trim()) return true; try { const value = JSON.parse(text); return value !== null && typeof value === "object" && !Array.isArray(value); } catch { return false; } };
const SCHEMA = '{\n  "type": "object",\n  "properties": {\n    "answer": { "type": "string" }\n  },\n  "required": ["answer"],\n  "additionalProperties": false\n}';
const TOOL = { name: "get_weather", description: "The weather in a city", parameters: '{\n  "type": "object",\n  "properties": { "city": { "type": "string" } },\n  "required": ["city"]\n}', result: '{"celsius": 7, "sky": "clear"}' };

export class Panel {
  constructor(changed) {
    this.changed = changed;
    this.settings = { door: "chat", system: "", parameters: {}, extra: "", tools: [], auto: false, choice: "", output: "text", schema: SCHEMA };
    this.facts = [];
    by("door").replaceChildren(...Object.values(DOORS).map(one => make("option", { value: one.name }, one.title)));
    by("door").addEventListener("change", () => { this.settings.door = by("door").value; changed("door"); });
    for (const name of ["system", "extra", "schema"]) by(name).addEventListener("input", () => { this.settings[name] = by(name).value; this.mark(); changed(name); });
    by("auto").addEventListener("change", () => { this.settings.auto = by("auto").checked; changed("auto"); });
    by("choice").addEventListener("change", () => { this.settings.choice = by("choice").value; changed("choice"); });
    by("output").addEventListener("change", () => { this.settings.output = by("output").value; by("schema-field").hidden = this.settings.output !== "json_schema"; changed("output"); });
    by("add-tool").addEventListener("click", () => {
      const taken = new Set(this.settings.tools.map(one => one.name));
      this.settings.tools.push({ ...TOOL, name: taken.has(TOOL.name) ? `${TOOL.name}_${taken.size + 1}` : TOOL.name });
      this.drawTools();
      by("tools").lastElementChild.querySelector("input").focus();
      changed("tools");
    });
  }

  kept() { return this.settings; }

  // Settings that were kept or came by a link: whatever is not of the right kind is left out.
  take(given) {
    const own = this.settings;
    if (given && typeof given === "object") {
      if (Object.hasOwn(DOORS, given.door)) own.door = given.door;
      for (const name of ["system", "extra", "choice", "schema"]) if (typeof given[name] === "string") own[name] = given[name];
      if (["text", "json_object", "json_schema"].includes(given.output)) own.output = given.output;
      if (given.parameters && typeof given.parameters === "object") own.parameters = { ...given.parameters };
      if (Array.isArray(given.tools)) own.tools = given.tools.filter(one => one && typeof one.name === "string").map(one => ({ name: one.name, description: String(one.description ?? ""), parameters: String(one.parameters ?? "{}"), result: String(one.result ?? "") }));
      own.auto = given.auto === true;
    }
    by("door").value = own.door;
    for (const name of ["system", "extra", "schema", "choice", "output"]) by(name).value = own[name];
    by("auto").checked = own.auto;
    by("schema-field").hidden = own.output !== "json_schema";
    this.drawTools();
    this.mark();
    this.drawn = null;
  }

  // The first field that holds no JSON where there should be some; null: all are well.
  problem() {
    const fields = [by("extra"), ...(this.settings.output === "json_schema" ? [by("schema")] : []), ...document.querySelectorAll("#tools textarea.schema, #parameters textarea.json")];
    return fields.find(one => !isObject(one.value)) ?? null;
  }

  mark() {
    for (const one of [by("extra"), by("schema"), ...document.querySelectorAll("#tools textarea.schema, #parameters textarea.json")]) one.setAttribute("aria-invalid", String(!isObject(one.value)));
  }

  // The parameters of these models, for this API.
  show(facts, door) {
    const drawn = JSON.stringify([facts.map(one => one.id), door.name]);
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    const rows = new Map();
    for (const one of facts) for (const parameter of one.parameters) {
      const row = rows.get(parameter.name) ?? { ...parameter, models: [] };
      row.models.push(one.id);
      // Of several models, a value that one of them takes.
      if (parameter.least !== null && row.least !== null) row.least = Math.min(row.least, parameter.least);
      if (parameter.most !== null && row.most !== null) row.most = Math.max(row.most, parameter.most);
      if (row.name.startsWith("max_") && one.output) row.most = Math.max(row.most ?? 0, one.output);
      if (parameter.default !== row.default) row.default = null;
      rows.set(row.name, row);
    }
    const taken = [...rows.values()].filter(one => door.carries[one.name]), not = [...rows.values()].filter(one => !door.carries[one.name]);
    by("parameters").replaceChildren(...(facts.length ? taken.map(one => this.field(one, facts)) : [make("p", { className: "small quiet" }, words.no_parameters)]),
      ...(not.length ? [make("p", { className: "small quiet" }, `${words.not_in_door}: ${not.map(one => one.name).join(", ")}`)] : []));
    this.mark();
  }

  field(row, facts) {
    const set = value => {
      if (value === "" || value === null || Number.isNaN(value)) delete this.settings.parameters[row.name]; else this.settings.parameters[row.name] = value;
      this.changed("parameters");
    };
    const value = this.settings.parameters[row.name], fallback = row.default === null ? words.default : String(row.default), id = `q-${row.name}`;
    const lacking = facts.filter(one => !row.models.includes(one.id)).map(one => one.name);
    const bounds = row.least !== null && row.most !== null ? fill(words.range, { least: row.least, most: row.most.toLocaleString(document.documentElement.lang) }) : "";
    const note = make("span", { className: "small quiet", id: `${id}-note` }, [row.meaning, bounds && `${bounds}.`, lacking.length ? `${fill(words.not_in_model, { models: lacking.join(", ") })}.` : ""].filter(Boolean).join(" "));
    const label = make("label", { htmlFor: id }, make("code", {}, row.name));
    let field, more = [];
    if (row.kind === "number" || row.kind === "whole number") {
      const whole = row.kind === "whole number", step = whole ? 1 : 0.01;
      field = make("input", { type: "number", inputMode: whole ? "numeric" : "decimal", min: row.least ?? "", max: row.most ?? "", step: whole ? "1" : "any", placeholder: fallback, value: value ?? "" });
      field.addEventListener("input", () => {
        set(field.value === "" ? "" : Number(field.value));
        for (const slider of more) { slider.value = field.value === "" ? row.default ?? row.least : field.value; slider.className = field.value === "" ? "unset" : ""; }
      });
      if (bounds && row.most - row.least <= 4096 && row.most - row.least > 0) {
        // The same value by pointer; the keyboard has the field.
        const slider = make("input", { type: "range", min: row.least, max: row.most, step, value: value ?? row.default ?? row.least, className: value === undefined ? "unset" : "", tabIndex: -1, ariaHidden: "true" });
        slider.addEventListener("input", () => { field.value = slider.value; slider.className = ""; set(Number(slider.value)); });
        more = [slider];
      }
    } else if (row.kind === "true or false") {
      field = make("select", {}, make("option", { value: "" }, fallback), make("option", { value: "true" }, words.yes), make("option", { value: "false" }, words.no));
      field.value = value === undefined ? "" : String(value);
      field.addEventListener("change", () => set(field.value === "" ? "" : field.value === "true"));
    } else if (row.choices.length) {
      field = make("select", {}, make("option", { value: "" }, fallback), ...row.choices.map(one => make("option", { value: one }, one)));
      field.value = value ?? "";
      field.addEventListener("change", () => set(field.value));
    } else if (row.kind === "text or list" || row.kind === "list") {
      field = make("textarea", { rows: 2, placeholder: words.one_per_line, value: (value ?? []).join("\n") });
      field.addEventListener("input", () => { const found = field.value.split("\n").filter(Boolean); set(found.length ? found : ""); });
    } else if (row.kind === "object") {
      field = make("textarea", { rows: 2, className: "mono json", spellcheck: false, placeholder: "{}", value: value === undefined ? "" : JSON.stringify(value) });
      field.addEventListener("input", () => { this.mark(); if (isObject(field.value)) set(field.value.trim() ? JSON.parse(field.value) : ""); });
    } else {
      field = make("input", { type: "text", placeholder: fallback, value: value ?? "" });
      field.addEventListener("input", () => set(field.value));
    }
    field.id = id;
    field.setAttribute("aria-describedby", note.id);
    return make("div", { className: "parameter" }, label, field, ...more, note);
  }

  drawTools() {
    by("tool-options").hidden = !this.settings.tools.length;
    by("tools").replaceChildren(...this.settings.tools.map((tool, at) => {
      const field = (name, title, element) => {
        element.value = tool[name];
        element.addEventListener("input", () => { tool[name] = element.value; this.mark(); this.changed("tools"); });
        return make("label", { className: "field" }, make("span", { className: "small" }, title), element);
      };
      const remove = button("×", () => { this.settings.tools.splice(at, 1); this.drawTools(); this.changed("tools"); by("add-tool").focus(); });
      remove.ariaLabel = `${words.delete}: ${tool.name}`;
      return make("fieldset", { className: "tool" }, make("legend", {}, make("span", { className: "unseen" }, `${tool.name} `), remove),
        field("name", words.tool_name, make("input", { type: "text", pattern: "[A-Za-z0-9_-]{1,64}", spellcheck: false, autocomplete: "off" })),
        field("description", words.tool_description, make("input", { type: "text" })),
        field("parameters", words.tool_parameters, make("textarea", { rows: 5, className: "mono schema", spellcheck: false })),
        field("result", words.tool_result, make("textarea", { rows: 2, className: "mono", spellcheck: false })));
    }));
  }
}
