/** What a task says while it runs: objects, and rows as typed arrays; goes on after a lost connection. */

import { post } from "./session.js";

const RETRY_MS = 1000;
const NUMBERS = {
  1: Float32Array,
  2: Float64Array,
  3: Int32Array,
  5: Uint8Array,
  6: Int16Array,
  7: BigInt64Array,
};

/** Messages about a task, to its end; throws where there is no (or no more) subscription. */
export async function* follow(task, signal) {
  for (let token; !signal.aborted; ) {
    try {
      for await (const message of connection(task, token, signal)) {
        if (message.op === "error") throw Object.assign(new Error(message.detail), { isFinal: message.code !== "internal" });
        if (message.op === "token") token = message.token;
        else yield message;
        if (message.op === "end") return;
      }
    } catch (error) {
      if (error.isFinal || (error.status && error.status < 500)) throw error; // else the server is away
    }
    await new Promise((go) => setTimeout(go, RETRY_MS));
  }
}

async function* connection(task, token, signal) {
  const { ticket } = await post("v1/stream-tickets");
  const url = new URL(`v1/stream?ticket=${encodeURIComponent(ticket)}`, document.baseURI);
  url.protocol = url.protocol.replace("http", "ws");
  const socket = new WebSocket(url, "timeside.v1");
  socket.binaryType = "arraybuffer";
  const heard = [];
  let wake = () => {};
  const hear = (message) => (heard.push(message), wake());
  socket.onopen = () => socket.send(JSON.stringify({ op: "subscribe", id: "page", task, token }));
  socket.onmessage = ({ data }) => hear(typeof data === "string" ? JSON.parse(data) : rows(data));
  socket.onclose = () => hear(null);
  signal.addEventListener("abort", () => socket.close(), { once: true });
  try {
    for (;;) {
      while (!heard.length) await new Promise((resolve) => (wake = resolve));
      const message = heard.shift();
      if (message === null) return;
      yield message;
    }
  } finally {
    socket.close();
  }
}

/** A binary frame, read: `values`, and `times` and `durations` (s) of events and segments. */
export function rows(buffer) {
  const header = new DataView(buffer);
  const magic = String.fromCharCode(...new Uint8Array(buffer, 0, 4));
  if (magic !== "TSP1") throw new Error(`a frame of kind ${magic} is unknown`);
  const code = header.getUint8(5);
  const count = header.getUint32(44, true);
  let offset = header.getUint16(6, true);
  const part = (Kind, length) => {
    const bytes = length === undefined ? undefined : offset + length * Kind.BYTES_PER_ELEMENT;
    const found = new Kind(buffer.slice(offset, bytes)); // a copy, as views must be aligned
    offset = bytes;
    return found;
  };
  const times = code & 0x10 ? part(Float64Array, count) : null;
  const durations = code & 0x20 ? part(Float64Array, count) : null;
  return {
    op: "rows",
    run: uuid(new Uint8Array(buffer, 16, 16)),
    attempt: header.getUint32(8, true),
    processor: header.getUint16(32, true),
    output: header.getUint16(34, true),
    first: Number(header.getBigUint64(36, true)),
    count,
    times,
    durations,
    values: (code & 0x0f) === 4 ? halves(part(Uint16Array)) : part(NUMBERS[code & 0x0f]),
  };
}

function halves(codes) {
  return Float32Array.from(codes, (code) => {
    const sign = code & 0x8000 ? -1 : 1;
    const exponent = (code >> 10) & 31;
    const fraction = code & 1023;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction);
  });
}

function uuid(bytes) {
  const digits = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
