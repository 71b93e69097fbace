// Speaks with the host that served the page.

const KEY = "millstream-token";
let asking = null;

/** What the host refused, or that it can't be reached. */
export class ApiError extends Error {
  constructor(status, body) {
    super(body.detail ?? body.title ?? `the host answered ${status}`);
    Object.assign(this, body, { status });
  }
}

/** Sends a request with the token, asks for one where the host does, and gives the answer when it is a success. */
export async function send(path, options = {}) {
  for (;;) {
    const token = sessionStorage.getItem(KEY);
    const headers = { ...options.headers, ...(token ? { authorization: `Bearer ${token}` } : {}) };
    let answer;
    try {
      answer = await fetch(path, { ...options, headers });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ApiError(0, { title: "the host can't be reached", detail: "It may be down, or draining." });
    }
    if (answer.ok) return answer;
    const body = await answer.json().catch(() => ({}));
    if (answer.status !== 401) throw new ApiError(answer.status, body);
    await askForToken(token, body.detail);
  }
}

/** The JSON of an answer. */
export const get = async (path, options) => (await send(path, options)).json();

/** Sends JSON. */
export async function post(path, body, headers = {}) {
  const json = body === undefined ? {} : { body: JSON.stringify(body) };
  const type = body === undefined ? {} : { "content-type": "application/json" };
  const answer = await send(path, { method: "POST", headers: { ...type, ...headers }, ...json });
  return answer.status === 204 ? null : answer.json();
}

/** A part of a path. */
export const part = encodeURIComponent;

/** One dialog for all requests that wait for a token. */
function askForToken(refused, why) {
  // Somebody else was given one meanwhile.
  if (sessionStorage.getItem(KEY) !== refused) return Promise.resolve();
  asking ??= new Promise((resolve) => {
    const dialog = document.getElementById("token-dialog");
    const field = document.getElementById("token");
    document.getElementById("token-why").textContent = refused ? "The token was refused." : (why ?? "");
    field.value = "";
    dialog.addEventListener("close", () => {
      if (field.value) sessionStorage.setItem(KEY, field.value);
      field.value = "";
      asking = null;
      resolve();
    }, { once: true });
    dialog.showModal();
  });
  return asking;
}

/** Follows server-sent events: EventSource can't send a token. Calls `hear` with each event until `signal` aborts. */
export async function follow(path, signal, hear) {
  const answer = await send(path, { signal, headers: { accept: "text/event-stream" } });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const event = { event: "message", data: "" };
      for (const line of block.split("\n")) {
        const [, name, rest] = /^(\w+): ?(.*)$/.exec(line) ?? [];
        if (name) event[name] = rest;
      }
      if (event.data) hear(event);
    }
  }
}
