/** Who is signed in, and requests on their behalf. The refresh token is kept for this tab only. */

const KEPT = "timeside.refresh";
const NOT_NOW = [429, 503]; // had no effect, and may be asked again
const MOST_TRIES = 8;
const LONGEST_WAIT_S = 10;
const MOST_CUTS = 3;
const RETRY_MS = 1000;
let access = null;
let refreshing = null;

/** An answer that is an error: its words are the server's. */
export class Problem extends Error {
  constructor(status, { code = "unknown", detail = `The server answered with status ${status}.` } = {}) {
    super(detail);
    this.status = status;
    this.code = code;
  }
}

/** Whether somebody is signed in; goes on with the sign-in of this tab where there is one. */
export async function resume() {
  if (!sessionStorage.getItem(KEPT)) return false;
  return (refreshing ??= refresh().finally(() => (refreshing = null)));
}

export const signIn = (name, password) => begin("v1/auth/token", { name, password });

export const setPassword = (name, password, new_password) =>
  begin("v1/auth/password", { name, password, new_password });

export async function signOut() {
  try {
    await request("v1/auth/logout", { method: "POST" });
  } finally {
    forget();
  }
}

/** The answer to a request; throws a `Problem`. */
export async function request(path, { method = "GET", json, signal } = {}) {
  const send = () =>
    fetch(path, {
      method,
      signal,
      headers: { ...(access && { Authorization: `Bearer ${access}` }), ...(json && { "Content-Type": "application/json" }) },
      body: json && JSON.stringify(json),
    });
  const tries = method === "GET" ? MOST_CUTS : 1; // what is only read may be asked for again
  let answer = await patiently(send, tries);
  if (answer.status === 401 && (await resume())) answer = await patiently(send, tries);
  if (answer.status === 401 && access) forget();
  if (!answer.ok) throw new Problem(answer.status, await answer.json().catch(() => ({})));
  return answer;
}

export const get = async (path, signal) => (await request(path, { signal })).json();

export const post = async (path, json = {}) => (await request(path, { method: "POST", json })).json();

/** An address for an element that cannot send a header. Like all our paths it is below that of the page. */
export const link = async (path) => (await post("v1/links", { path: `/${path}` })).url.slice(1);

/** Upload a file; `tell` hears the share that has gone. */
export async function upload(path, file, tell) {
  await get("v1/me"); // so that the token lives
  return new Promise((done, failed) => {
    const sending = new XMLHttpRequest();
    sending.open("PUT", path);
    sending.setRequestHeader("Authorization", `Bearer ${access}`);
    sending.setRequestHeader("Content-Type", "application/octet-stream");
    sending.responseType = "json";
    sending.upload.addEventListener("progress", (event) => tell(event.loaded / event.total));
    sending.addEventListener("error", () => failed(new Error("The upload broke off: the server cannot be reached.")));
    sending.addEventListener("load", () =>
      sending.status < 400 ? done(sending.response) : failed(new Problem(sending.status, sending.response ?? {})),
    );
    sending.send(file);
  });
}

/** Asks again where the server has no time now, after as long as it says. */
async function patiently(send, cuts) {
  for (let tries = 1; ; tries++) {
    const answer = await reached(send, cuts);
    if (!NOT_NOW.includes(answer.status) || tries === MOST_TRIES) return answer;
    const wait_s = Math.min(LONGEST_WAIT_S, Number(answer.headers.get("Retry-After")) || 1);
    await new Promise((go) => setTimeout(go, 1000 * wait_s));
  }
}

async function reached(send, cuts = 1) {
  for (let tries = 1; ; tries++) {
    try {
      return await send();
    } catch (error) {
      if (error.name === "AbortError") throw error;
      if (tries === cuts) throw new Error("The server cannot be reached.");
    }
    await new Promise((go) => setTimeout(go, RETRY_MS));
  }
}

async function begin(path, json) {
  keep(await post(path, json));
}

async function refresh() {
  const refresh_token = sessionStorage.getItem(KEPT);
  const answer = await reached(() =>
    fetch("v1/auth/refresh", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ refresh_token }),
    }),
  );
  if (answer.ok) keep(await answer.json());
  else if (answer.status === 401) forget();
  return answer.ok;
}

function keep(tokens) {
  access = tokens.access_token;
  sessionStorage.setItem(KEPT, tokens.refresh_token);
}

function forget() {
  access = null;
  sessionStorage.removeItem(KEPT);
  dispatchEvent(new Event("signedout"));
}
