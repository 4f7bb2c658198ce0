/** Results of an item: lanes that grow and then stay, numbers, pictures, files. */

import { failure, h, save } from "./dom.js";
import { Lane, LiveSource, StoredSource, plan } from "./lanes.js";
import { get, link } from "./session.js";
import { bytes, number, title } from "./words.js";

const EXTENSIONS = {
  "audio/ogg": "ogg",
  "audio/webm": "webm",
  "audio/flac": "flac",
  "audio/wav": "wav",
  "audio/mpeg": "mp3",
  "audio/mp4": "m4a",
  "image/png": "png",
};

export class Results {
  #lanes = new Map(); // by result and output
  #live = new Map(); // sources by run and processor
  #settled = new Set();

  /** `heard` is told results that are files, once they are there. */
  constructor(timeline, processors, name, heard) {
    Object.assign(this, { timeline, processors, name, heard });
    this.numbers = h("dl", { class: "numbers" });
    this.pictures = h("div", { class: "pictures" });
    this.downloads = h("ul", { class: "downloads" });
    this.failures = h("div");
    const part = (heading, content) => h("section", { class: "part" }, h("h2", {}, heading), content);
    this.element = h(
      "div",
      {},
      this.failures,
      part("Numbers", this.numbers),
      part("Pictures", this.pictures),
      part("Downloads", this.downloads),
    );
  }

  /** A processor has started: its lanes are empty (again). */
  open({ run, processor: index, result, clock, outputs }, results) {
    const { processor } = results.find((each) => each.id === result) ?? {};
    const declared = this.processors.get(processor)?.outputs ?? [];
    const known = outputs.flatMap((each, index) => {
      const output = declared.find(({ name }) => name === (each.name || "result"));
      return output ? [{ ...output, row_shape: each.columns, index }] : [];
    });
    if (this.#settled.has(result) || !known.length) return;
    const sources = plan(processor, known).map((facts) => {
      const parts = facts.names.map((name) => known.find((each) => each.name === name));
      const shapes = parts.map(({ index, row_shape }) => ({ index, shape: row_shape }));
      const lane = this.#lane(result, facts, "computing…");
      return (lane.source = new LiveSource(facts.kind, clock, shapes));
    });
    this.#live.set(`${run}/${index}`, sources);
  }

  /** Rows have come. */
  rows(message) {
    for (const source of this.#live.get(`${message.run}/${message.processor}`) ?? []) source.add(message);
    this.timeline.redraw();
  }

  /** A result has come to its end. */
  async settle(result) {
    if (result.state === "pending" || this.#settled.has(result.id)) return;
    this.#settled.add(result.id);
    if (result.state !== "done") return this.#failed(result);
    const facts = await get(`/v1/results/${result.id}`);
    if (facts.mime_type) await this.#file(facts);
    else await this.#kept(facts);
  }

  async #kept(result) {
    const { outputs } = result;
    for (const facts of plan(result.processor, outputs)) {
      const parts = facts.names.map((name) => outputs.find((each) => each.name === name));
      const lane = this.#lane(result.id, facts, "");
      lane.source = new StoredSource(facts.kind, result, parts);
    }
    this.timeline.redraw();
    for (const output of outputs.filter((each) => each.time_mode === "global")) await this.#number(result, output);
    for (const output of outputs.filter((each) => each.time_mode !== "global" && (each.pooling ?? "summary") === "summary"))
      this.#table(result, output);
  }

  async #number(result, output) {
    const { values } = await get(`/v1/results/${result.id}/data/${output.name}`);
    const shown = Array.isArray(values) ? values.map((each) => number(each)).join(", ") : number(values, output.unit);
    const name = output.name === "result" ? "" : `: ${output.name.replaceAll("_", " ")}`;
    this.numbers.append(h("div", { title: output.description }, h("dt", {}, title(result.processor) + name), h("dd", {}, shown)));
  }

  async #file(result) {
    const path = `/v1/results/${result.id}/file`;
    const name = `${this.name}.${result.processor}.${EXTENSIONS[result.mime_type] ?? "bin"}`;
    if (result.mime_type.startsWith("image/")) {
      const url = await link(path);
      const caption = h("figcaption", {}, h("a", { href: url, download: name }, title(result.processor)));
      this.pictures.append(h("figure", {}, h("img", { src: url, alt: `${title(result.processor)} of ${this.name}`, loading: "lazy" }), caption));
    } else {
      this.#download(`${title(result.processor)} (${bytes(result.size)})`, async () => save(await link(path), name));
      this.heard(result);
    }
  }

  #table(result, output) {
    const name = output.name === "result" ? result.processor : `${result.processor}.${output.name}`;
    this.#download(`${name}.csv`, async () => {
      const url = URL.createObjectURL(new Blob(await csv(result, output), { type: "text/csv" }));
      save(url, `${this.name}.${name}.csv`);
      setTimeout(() => URL.revokeObjectURL(url), 60_000);
    });
  }

  #download(text, act) {
    const click = () => act().catch((error) => this.failures.append(failure(error)));
    this.downloads.append(h("li", {}, h("button", { type: "button", class: "quiet", click }, text)));
  }

  #failed({ id, processor, state, reason }) {
    for (const [key, lane] of this.#lanes) {
      if (!key.startsWith(id)) continue;
      this.timeline.remove(lane);
      this.#lanes.delete(key);
    }
    this.failures.append(failure(new Error(`${title(processor)} was not made: ${reason || state}`)));
  }

  #lane(result, facts, state) {
    const key = `${result}/${facts.names[0]}`;
    let lane = this.#lanes.get(key);
    if (!lane) {
      lane = new Lane(facts);
      this.#lanes.set(key, lane);
      this.timeline.add(lane);
    }
    lane.state.textContent = state;
    return lane;
  }
}

/** An output as lines of time, duration where there are some, and values. */
async function csv(result, output) {
  const columns = output.row_shape.length ? output.bins_at ?? [...Array(output.row_shape[0]).keys()] : ["value"];
  const timing = output.time_mode === "segment" ? ["time_s", "duration_s"] : ["time_s"];
  const lines = [`${[...timing, ...columns].join(",")}\n`];
  for (let row = 0; row < output.rows; ) {
    const page = await get(`/v1/results/${result.id}/data/${output.name}?start=${row}`);
    page.values.forEach((values, index) => {
      const time = page.times ? page.times[index] : page.start_s + index * page.step_s;
      const cells = [time, ...(page.durations ? [page.durations[index]] : []), ...[values].flat(Infinity)];
      lines.push(`${cells.join(",")}\n`);
    });
    if (!page.values.length) break;
    row += page.values.length;
  }
  return lines;
}
