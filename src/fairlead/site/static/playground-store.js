// Conversations of this browser, in IndexedDB; where that is closed (private windows of some browsers), in memory.

const NAME = "fairlead-playground", TABLE = "conversations";
const memory = new Map();
let opening = null;

function open() {
  return opening ??= new Promise((resolve, reject) => {
    const asked = indexedDB.open(NAME, 1);
    asked.onupgradeneeded = () => asked.result.createObjectStore(TABLE, { keyPath: "id" });
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
    asked.onblocked = () => reject(new Error("blocked"));
  });
}

async function use(mode, work) {
  const database = await open();
  return new Promise((resolve, reject) => {
    const change = database.transaction(TABLE, mode), asked = work(change.objectStore(TABLE));
    change.oncomplete = () => resolve(asked?.result);
    change.onerror = change.onabort = () => reject(change.error);
  });
}

export async function keep(conversation) {
  try { await use("readwrite", table => table.put(structuredClone(conversation))); } catch { memory.set(conversation.id, structuredClone(conversation)); }
}

// Newest first, without what they say.
export async function listed() {
  let all = [...memory.values()];
  try { all = all.concat(await use("readonly", table => table.getAll())); } catch { /* only those in memory */ }
  return all.map(({ id, title, at }) => ({ id, title, at })).sort((one, other) => other.at - one.at);
}

export async function read(id) {
  if (memory.has(id)) return structuredClone(memory.get(id));
  try { return await use("readonly", table => table.get(id)) ?? null; } catch { return null; }
}

export async function remove(id) {
  memory.delete(id);
  try { await use("readwrite", table => table.delete(id)); } catch { /* it was in memory only */ }
}

export async function removeAll() {
  memory.clear();
  try { await use("readwrite", table => table.clear()); } catch { /* they were in memory only */ }
}
