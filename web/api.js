// Talks to the server: the token, calls, problems, the tail's stream, long work.

const KEY = "tally.token";

let token = null;

// Takes `#token=…` out of the address before anything else can see or keep it.
export function takeToken() {
  const match = /^#token=([^&]*)/.exec(location.hash);
  if (match) {
    history.replaceState(null, "", location.pathname + location.search);
    setToken(decode(match[1]));
  } else {
    token = stored();
  }
  return token !== null;
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

// Browsers may refuse to store anything; then the token lasts until the page is left.
function stored() {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return token;
  }
}

export function setToken(value) {
  token = value;
  try {
    value === null ? sessionStorage.removeItem(KEY) : sessionStorage.setItem(KEY, value);
  } catch {
    // see stored()
  }
}

// A problem document of the server (RFC 9457), or one made here when no answer came.
export class Problem extends Error {
  constructor(status, members = {}) {
    super(members.title ?? "The request failed");
    this.title = this.message;
    this.status = status;
    this.code = members.code ?? "";
    this.detail = members.detail ?? "";
    this.errors = Array.isArray(members.errors) ? members.errors : [];
    this.request = members.instance ?? "";
    this.toSign = members.request ?? null;
    this.retryAfter = members.retryAfter ?? null;
    this.advice = advice(this);
  }
}

const ADVICE = {
  unauthenticated: "Sign in with another token.",
  forbidden: "Ask an administrator for a token with a role that may do this.",
  not_found: "It may never have existed, or lie outside of what your token may see.",
  bad_cursor: "Search again from the start.",
  on_hold: "Release the hold first, or leave out what is held.",
  needs_second_person: "A second person has to sign; see below.",
  changed: "Something changed meanwhile. Look again, then repeat.",
  busy: "Other work is under way. Wait for it, then repeat.",
  disk_full: "Make room on the server's disk.",
  not_supported: "This ledger's store cannot answer that.",
  unreachable: "Check the network and that the server runs, then repeat.",
};

function advice(problem) {
  if (problem.retryAfter !== null) {
    return `Repeat in ${problem.retryAfter} seconds.`;
  }
  if (ADVICE[problem.code]) {
    return ADVICE[problem.code];
  }
  if (problem.status >= 500) {
    return "Repeat in a moment. If it stays, give the request id to whoever runs the server.";
  }
  return problem.status >= 400 ? "Correct what is named, then repeat." : "";
}

// Appends {name: value or [values]} or pairs to a path.
export function withQuery(path, query) {
  const pairs = query instanceof URLSearchParams ? query : new URLSearchParams(query ?? {});
  const words = pairs.toString();
  return words ? `${path}?${words}` : path;
}

// One request; throws a Problem unless the answer is 2xx. 401 also ends the session.
export function request(method, path, options = {}) {
  const ended = () => dispatchEvent(new CustomEvent("signed-out"));
  return send({ server: "", token, ended }, method, path, options);
}

// The same to a server of any address ("": that of this page); `ended` is called after a 401.
export async function send({ server, token, ended = () => {} }, method, path,
    { query, body, headers = {}, signal } = {}) {
  if (!/^[\x21-\x7e]+$/.test(token)) { // what no header can carry is no token either
    throw new Problem(401, { title: "That is not a token", code: "unauthenticated" });
  }
  let answer;
  try {
    answer = await fetch(server + withQuery(path, query), {
      method,
      signal,
      cache: "no-store",
      credentials: "omit",
      referrerPolicy: "no-referrer",
      headers: {
        Authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
        ...headers,
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") {
      throw error;
    }
    throw new Problem(0, { title: "The server did not answer", code: "unreachable" });
  }
  if (!answer.ok) {
    const problem = await problemOf(answer);
    if (answer.status === 401) {
      ended();
    }
    throw problem;
  }
  return answer;
}

async function problemOf(answer) {
  let members = {};
  try {
    members = await answer.json();
  } catch {
    members = { title: `The server answered ${answer.status}` };
  }
  const wait = answer.headers.get("Retry-After");
  members.retryAfter = /^\d+$/.test(wait ?? "") ? Number(wait) : null;
  members.instance = members.instance ?? answer.headers.get("X-Request-Id") ?? "";
  return new Problem(answer.status, members);
}

export async function get(path, query, signal) {
  return (await request("GET", path, { query, signal })).json();
}

export async function getText(path, query, signal) {
  return (await request("GET", path, { query, signal })).text();
}

export async function post(path, body, signal) {
  return (await request("POST", path, { body, signal })).json();
}

export async function remove(path, signal) {
  const answer = await (await request("DELETE", path, { signal })).text();
  return answer ? JSON.parse(answer) : {};
}

// Waits for a job and tells `progress` each state; gives its result or throws its problem.
export async function follow(job, progress, signal) {
  let wait = 250;
  for (;;) {
    progress(job);
    if (job.state === "done") {
      return job.result;
    }
    if (job.state === "failed") {
      throw new Problem(job.problem?.status ?? 500, job.problem ?? {});
    }
    if (job.state === "cancelled") {
      throw new Problem(0, { title: "The work was stopped",
          detail: "What was done before stays done." });
    }
    await pause(wait, signal);
    wait = Math.min(wait * 1.5, 3000);
    job = await get(`/v1/jobs/${encodeURIComponent(job.id)}`, {}, signal);
  }
}

export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("left", "AbortError"));
    }, { once: true });
  });
}

// Reads /v1/tail and calls `each` with every record, `state` with "open" and "lost"; after a loss
// it comes back to where it was. EventSource cannot send the token, so the stream is taken apart
// here.
export async function tail(query, each, state, signal) {
  let last = null;
  let wait = 1000;
  for (;;) {
    try {
      const headers = { Accept: "text/event-stream",
          ...(last === null ? {} : { "Last-Event-ID": last }) };
      const answer = await request("GET", "/v1/tail", { query, headers, signal });
      state("open");
      wait = 1000;
      for await (const message of messages(answer.body)) {
        last = message.id ?? last;
        if (message.data) {
          each(JSON.parse(message.data));
        }
      }
    } catch (error) {
      const lasting = error instanceof Problem && error.status >= 400 && error.status < 500 &&
          error.status !== 429;
      if (signal.aborted || lasting) {
        throw error;
      }
    }
    state("lost");
    await pause(wait, signal);
    wait = Math.min(wait * 2, 30000);
  }
}

async function* messages(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) {
        return;
      }
      const parts = (rest + value).replaceAll("\r\n", "\n").split("\n\n");
      rest = parts.pop();
      yield* parts.map(message);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function message(part) {
  const found = {};
  for (const line of part.split("\n")) {
    const [, name, value] = /^([a-z]*): ?(.*)$/.exec(line) ?? [];
    if (name === "id") {
      found.id = value;
    } else if (name === "data") {
      found.data = found.data === undefined ? value : `${found.data}\n${value}`;
    }
  }
  return found;
}
