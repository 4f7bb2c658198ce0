/**
 * Rows of a result while it is computed, in a browser or in Node 24: each row of each output once.
 *
 *     for await (const rows of stream("http://127.0.0.1:8000", token, resultId)) draw(rows);
 *
 * After a lost connection it goes on by the last token; rows that the stream could not give are read over HTTP at the end.
 */

export interface Rows {
  /** `result` where there is but one. */
  output: string;
  firstRow: number;
  count: number;
  /** `count` rows of `columns` numbers each. */
  values: Float64Array;
  columns: number;
  /** s; of events and segments only: row n of others is at `start_s + n * hop_length / samplerate` of `clock`. */
  times: Float64Array | null;
  /** s; of segments only. */
  durations: Float64Array | null;
  clock: Clock;
}

export interface Clock {
  samplerate: number;
  hop_length: number;
  start_s: number;
}

interface Opened {
  op: "opened";
  run: string;
  processor: number;
  clock: Clock;
  outputs: { name: string }[];
}

type Message =
  | Opened
  | { op: "token"; token: string }
  | { op: "end" }
  | { op: "error"; code: string; detail: string }
  | { op: "snapshot" | "ready" | "run" | "progress" | "state" | "closed" | "gap" | "pong" };

interface Result {
  state: string;
  reason: string;
  clock: Clock;
  outputs: { name: string; rows: number; row_shape: number[] }[];
}

interface Page {
  values: unknown;
  times?: number[];
  durations?: number[];
}

const RETRY_MS = 500;
const PATIENCE_MS = 60_000;

/** All rows of a result; throws where it is not made, or not to be seen. */
export async function* stream(url: string, token: string, result: string): AsyncGenerator<Rows> {
  const api = new Api(url, token);
  const had = new Map<string, Had>();
  const opened = new Map<string, Opened>();
  for await (const message of follow(api, result)) {
    if (message instanceof ArrayBuffer) {
      const rows = read(message, opened);
      const fresh = rows && take(had, rows);
      if (fresh) yield fresh;
    } else if (message.op === "opened") {
      opened.set(`${message.run}/${message.processor}`, message);
    }
  }
  const facts = await api.get<Result>(`/v1/results/${result}`);
  if (facts.state !== "done") throw new Error(`result ${result} was not made: ${facts.reason || facts.state}`);
  for (const output of facts.outputs) {
    for (const [start, stop] of missing(had.get(output.name), output.rows)) yield* stored(api, result, facts, output, start, stop);
  }
}

class Api {
  readonly url: string;
  readonly #headers: Record<string, string>;

  constructor(url: string, token: string) {
    this.url = url.replace(/\/$/, "");
    this.#headers = { Authorization: `Bearer ${token}` };
  }

  /** What is at a path; asks again while the server is away. */
  async get<T>(path: string): Promise<T> {
    for (const endsAt = Date.now() + PATIENCE_MS; ; await new Promise((go) => setTimeout(go, RETRY_MS))) {
      try {
        return await this.#ask<T>(path, "GET");
      } catch (error) {
        if (error instanceof Refused || Date.now() > endsAt) throw error;
      }
    }
  }

  post<T>(path: string): Promise<T> {
    return this.#ask<T>(path, "POST");
  }

  async #ask<T>(path: string, method: string): Promise<T> {
    const answer = await fetch(this.url + path, { method, headers: this.#headers });
    const body = await answer.json();
    if (!answer.ok) throw new Refused(String(body.detail));
    return body as T;
  }
}

/** An answer that another attempt would not change. */
class Refused extends Error {}

/** Messages about a result, to its end, however often the connection breaks. */
async function* follow(api: Api, result: string): AsyncGenerator<Exclude<Message, { op: "token" | "end" | "error" }> | ArrayBuffer> {
  let heardAt = Date.now();
  for (let token: string | undefined; Date.now() - heardAt < PATIENCE_MS; ) {
    try {
      for await (const message of connection(api, { op: "subscribe", id: "a", result, token })) {
        heardAt = Date.now();
        if (message instanceof ArrayBuffer) yield message;
        else if (message.op === "end") return;
        else if (message.op === "token") token = message.token;
        else if (message.op !== "error") yield message;
        else if (message.code === "internal") break;
        else throw new Refused(message.detail);
      }
    } catch (error) {
      if (error instanceof Refused) throw error; // else the server is away
    }
    await new Promise((go) => setTimeout(go, RETRY_MS));
  }
  throw new Error(`${api.url} has not answered for ${PATIENCE_MS / 1000} s`);
}

async function* connection(api: Api, subscribe: object): AsyncGenerator<Message | ArrayBuffer> {
  const { ticket } = await api.post<{ ticket: string }>("/v1/stream-tickets");
  const socket = new WebSocket(`${api.url.replace(/^http/, "ws")}/v1/stream?ticket=${ticket}`, "timeside.v1");
  socket.binaryType = "arraybuffer";
  const heard: (Message | ArrayBuffer | null)[] = [];
  let wake = (): void => {};
  const hear = (message: Message | ArrayBuffer | null): void => {
    heard.push(message);
    wake();
  };
  socket.onopen = () => socket.send(JSON.stringify(subscribe));
  socket.onmessage = ({ data }) => hear(typeof data === "string" ? (JSON.parse(data) as Message) : (data as ArrayBuffer));
  socket.onclose = () => hear(null);
  try {
    for (;;) {
      while (!heard.length) await new Promise<void>((resolve) => (wake = resolve));
      const message = heard.shift();
      if (!message) return;
      yield message;
    }
  } finally {
    socket.close();
  }
}

/** A binary frame; null where its processor was not opened. */
function read(frame: ArrayBuffer, opened: Map<string, Opened>): Rows | null {
  const header = new DataView(frame);
  const run = uuid(new Uint8Array(frame, 16, 16));
  const said = opened.get(`${run}/${header.getUint16(32, true)}`);
  const output = said?.outputs[header.getUint16(34, true)];
  if (!said || !output) return null;
  const [code, count] = [header.getUint8(5), header.getUint32(44, true)];
  let offset = header.getUint16(6, true);
  const part = (length: number, size: number, at: (offset: number) => number): Float64Array => {
    const numbers = Float64Array.from({ length }, (_, index) => at(offset + index * size));
    offset += length * size;
    return numbers;
  };
  const seconds = (): Float64Array => part(count, 8, (at) => header.getFloat64(at, true));
  const times = code & 0x10 ? seconds() : null;
  const durations = code & 0x20 ? seconds() : null;
  const kind = KINDS[code & 0x0f];
  if (!kind) throw new Refused(`rows of type ${code} are unknown`);
  const columns = count && (frame.byteLength - offset) / count / kind.size;
  const values = part(count * columns, kind.size, (at) => kind.at(header, at));
  return { output: output.name || "result", firstRow: Number(header.getBigUint64(36, true)), count, values, columns, times, durations, clock: said.clock };
}

const KINDS: Record<number, { size: number; at: (view: DataView, offset: number) => number }> = {
  1: { size: 4, at: (view, offset) => view.getFloat32(offset, true) },
  2: { size: 8, at: (view, offset) => view.getFloat64(offset, true) },
  3: { size: 4, at: (view, offset) => view.getInt32(offset, true) },
  4: { size: 2, at: (view, offset) => half(view.getUint16(offset, true)) },
  5: { size: 1, at: (view, offset) => view.getUint8(offset) },
  6: { size: 2, at: (view, offset) => view.getInt16(offset, true) },
  7: { size: 8, at: (view, offset) => Number(view.getBigInt64(offset, true)) },
};

/** A number of 16 bits (IEEE 754 binary16). */
function half(bits: number): number {
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
  const size = exponent === 31 ? (fraction ? NaN : Infinity) : exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction;
  return bits & 0x8000 ? -size : size;
}

function uuid(bytes: Uint8Array): string {
  const digits = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** Rows that were had of an output: all below `next`, but for holes. */
interface Had {
  next: number;
  holes: [start: number, stop: number][];
}

/** What of these rows is new. */
function take(had: Map<string, Had>, rows: Rows): Rows | null {
  const known = had.get(rows.output) ?? { next: 0, holes: [] };
  had.set(rows.output, known);
  const stop = rows.firstRow + rows.count;
  if (stop <= known.next) return null;
  if (rows.firstRow > known.next) known.holes.push([known.next, rows.firstRow]);
  const skip = Math.max(0, known.next - rows.firstRow);
  known.next = stop;
  return {
    ...rows,
    firstRow: rows.firstRow + skip,
    count: rows.count - skip,
    values: rows.values.subarray(skip * rows.columns),
    times: rows.times && rows.times.subarray(skip),
    durations: rows.durations && rows.durations.subarray(skip),
  };
}

function missing(had: Had | undefined, total: number): [start: number, stop: number][] {
  const { next, holes } = had ?? { next: 0, holes: [] };
  return next < total ? [...holes, [next, total]] : holes;
}

/** Rows of a result that is done, as many at a time as an answer has. */
async function* stored(api: Api, id: string, facts: Result, output: Result["outputs"][number], start: number, stop: number): AsyncGenerator<Rows> {
  const columns = output.row_shape.reduce((all, each) => all * each, 1);
  while (start < stop) {
    const page = await api.get<Page>(`/v1/results/${id}/data/${output.name}?start=${start}`);
    const numbers = [page.values].flat(Infinity).map((each) => (each === null ? NaN : Number(each)));
    const count = Math.min(stop - start, page.times?.length ?? Math.floor(numbers.length / columns));
    if (!count) throw new Error(`there are no rows of ${output.name} from ${start} on`);
    yield {
      output: output.name,
      firstRow: start,
      count,
      values: Float64Array.from(numbers.slice(0, count * columns)),
      columns,
      times: page.times ? Float64Array.from(page.times.slice(0, count)) : null,
      durations: page.durations ? Float64Array.from(page.durations.slice(0, count)) : null,
      clock: facts.clock,
    };
    start += count;
  }
}
