// Files as parts of a message. They are read in this browser and go only into the calls that they are attached to.

export const MOST_BYTES = 20 * 1024 * 1024; // together; in base64 they fit into a request of 32 MB
const LONGEST_TEXT = 400_000;
const TEXT = /^(?:text\/|application\/(?:json|xml|yaml|toml|javascript|x-sh|sql))|\+(?:json|xml)$/;
const TEXT_NAME = /\.(?:txt|md|csv|tsv|json|jsonl|xml|ya?ml|toml|ini|log|py|js|mjs|ts|tsx|jsx|go|rs|c|h|cpp|java|kt|rb|sh|sql|html|css)$/i;

function kindOf(file) {
  const kind = file.type.split("/")[0];
  if (["image", "audio", "video"].includes(kind) && file.type !== "image/svg+xml") return kind;
  return TEXT.test(file.type) || TEXT_NAME.test(file.name) ? "text" : "file";
}

const base64 = file => new Promise((resolve, reject) => {
  const reader = new FileReader();
  reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
  reader.onerror = () => reject(reader.error);
  reader.readAsDataURL(file);
});

// A part: {type, name, mime, data, size}, or {type: "text", name, text, size} of what is text anyway.
export async function part(file) {
  const type = kindOf(file), name = file.name || "file", size = file.size;
  if (type === "text") {
    const text = (await file.text()).slice(0, LONGEST_TEXT), fence = text.includes("```") ? "~~~~" : "```";
    return { type, name, size, text: `${name}:\n${fence}\n${text}\n${fence}` };
  }
  return { type, name, size, mime: file.type || "application/octet-stream", data: await base64(file) };
}
