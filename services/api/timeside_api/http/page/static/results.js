/** Results of an item: lanes that grow and then stay, numbers, pictures, files. */

import { failure, h, save } from "./dom.js";
import { Lane, LiveSource, StoredSource, plan } from "./lanes.js";
import { get, link, request } from "./session.js";
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

const FORMATS = {
  csv: ".csv",
  json: ".json",
  hdf5: ".h5",
  numpy: ".npz",
  parquet: ".parquet",
  jams: ".jams",
  audacity: ".txt",
  textgrid: ".TextGrid",
  elan: ".eaf",
  sonic_visualiser: ".svl",
};
const KEEP_MS = 60_000; // what is being saved

export class Results {
  #lanes = new Map(); // by result and output
  #live = new Map(); // sources by run and processor
  #settled = new Set();

  constructor(timeline, processors, item) {
    Object.assign(this, { timeline, processors, name: item.title || "untitled" });
    this.numbers = h("dl", { class: "numbers" });
    this.pictures = h("div", { class: "pictures" });
    this.downloads = h("ul", { class: "downloads" });
    this.format = h("select", { "aria-label": "Format of results" }, Object.keys(FORMATS).map((each) => h("option", { value: each }, title(each))));
    const opus = async () => save(await link(`v1/items/${item.id}/transcode/opus`), `${this.name}.opus`);
    this.#download("The sound in Opus", opus);
    this.failures = h("div");
    const part = (heading, content, ...more) => h("section", { class: "part" }, h("div", { class: "bar" }, h("h2", {}, heading), more), content);
    this.element = h(
      "div",
      {},
      this.failures,
      part("Numbers", this.numbers),
      part("Pictures", this.pictures),
      part("Downloads", this.downloads, this.format),
    );
  }

  /** A processor has started: its lanes are empty (again), unless it says it for who comes later. */
  open({ run, processor: index, result, clock, outputs, rows }, results) {
    if (this.#live.has(`${run}/${index}`) && rows?.some(Boolean)) return;
    const { processor } = results.find((each) => each.id === result) ?? {};
    const declared = this.processors.get(processor)?.outputs ?? [];
    const known = outputs.flatMap((each, index) => {
      const output = declared.find(({ name }) => name === (each.name || "result"));
      return output ? [{ ...output, row_shape: each.columns, index }] : [];
    });
    if (this.#settled.has(result) || !known.length) return;
    const sources = plan(processor, known).map((facts) => {
      const parts = facts.names.map((name) => known.find((each) => each.name === name).index);
      const lane = this.#lane(result, facts, "computing…");
      return (lane.source = new LiveSource(facts.kind, clock, parts));
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
    const facts = await get(`v1/results/${result.id}`);
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
    this.#download(title(result.processor), () => this.#export(result));
  }

  async #number(result, output) {
    const { values } = await get(`v1/results/${result.id}/data/${output.name}`);
    const shown = Array.isArray(values) ? values.map((each) => number(each)).join(", ") : number(values, output.unit);
    const name = output.name === "result" ? "" : `: ${output.name.replaceAll("_", " ")}`;
    this.numbers.append(h("div", { title: output.description }, h("dt", {}, title(result.processor) + name), h("dd", {}, shown)));
  }

  async #file(result) {
    const path = `v1/results/${result.id}/file`;
    const name = `${this.name}.${result.processor}.${EXTENSIONS[result.mime_type] ?? "bin"}`;
    if (result.mime_type.startsWith("image/")) {
      const url = await link(path);
      const caption = h("figcaption", {}, h("a", { href: url, download: name }, title(result.processor)));
      this.pictures.append(h("figure", {}, h("img", { src: url, alt: `${title(result.processor)} of ${this.name}`, loading: "lazy" }), caption));
    } else {
      this.#download(`${title(result.processor)} (${bytes(result.size)})`, async () => save(await link(path), name));
    }
  }

  async #export(result) {
    const format = this.format.value;
    const answer = await request(`v1/results/${result.id}/export?format=${format}`);
    const url = URL.createObjectURL(await answer.blob());
    save(url, `${this.name}.${result.processor}${FORMATS[format]}`);
    setTimeout(() => URL.revokeObjectURL(url), KEEP_MS);
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
