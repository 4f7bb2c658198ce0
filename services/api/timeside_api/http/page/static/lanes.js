/** What of a result is drawn, and how: one lane for each output, one for the three of a waveform. */

import { LiveColumns, StoredColumns } from "./columns.js";
import * as draw from "./draw.js";
import { h } from "./dom.js";
import { get } from "./session.js";
import { number, title } from "./words.js";

const MANY_COLUMNS = 8; // of a row: from so many on they are a picture, not lines
const DEPTH_DB = 60; // of curves in decibels: what is far below the loudest is silence
const MOST_MARKS = 100_000;

/** Outputs that belong together: `{ kind, title, unit, names, labels }`. */
export function plan(processor, outputs) {
  const names = outputs.map((each) => each.name);
  if (["min", "max", "rms"].every((name) => names.includes(name)) && outputs[0].bins === "channel")
    return [{ kind: "waveform", title: "Waveform", unit: "", names: ["min", "max", "rms"], labels: [] }];
  return outputs
    .filter((each) => each.time_mode !== "global")
    .map((each) => ({
      kind: { event: "marks", segment: "marks" }[each.time_mode] ?? (size(each.row_shape) < MANY_COLUMNS ? "curve" : "heat"),
      title: laneTitle(processor, each.name),
      unit: each.unit,
      names: [each.name],
      labels: each.labels,
      isLevel: each.name === "tiles",
    }));
}

function laneTitle(processor, output) {
  const name = title(processor.replace(/_analyzer$/, ""));
  return ["result", "tiles"].includes(output) ? name : `${name}: ${output.replaceAll("_", " ")}`;
}

const size = (shape) => shape.reduce((all, each) => all * each, 1);

/** A strip of the timeline. */
export class Lane {
  constructor(facts) {
    this.facts = facts;
    this.range = h("span", { class: "range" });
    this.canvas = h("canvas", { class: facts.kind, "aria-hidden": "true" });
    this.state = h("span", { class: "state" });
    this.problem = h("span", { class: "state" });
    this.element = h(
      "section",
      { class: "lane", "aria-label": facts.title, "data-lane": facts.title },
      h("h3", {}, facts.title, this.state, this.problem, this.range),
      this.canvas,
    );
    this.source = null;
    this.drawing = 0;
  }

  /** Draw what the source has now. */
  async draw(view) {
    if (!this.source || !this.canvas.clientWidth) return;
    const drawing = ++this.drawing;
    const { source } = this;
    const found = await source.read(view, Math.round(this.canvas.clientWidth * devicePixelRatio));
    if (drawing !== this.drawing || source !== this.source) return; // something else was asked for meanwhile
    this.problem.textContent = "";
    const context = draw.prepared(this.canvas);
    const { kind, unit, labels, isLevel } = this.facts;
    if (kind === "waveform") draw.waveform(context, view, found);
    else if (kind === "marks") draw.marks(context, view, found, labels);
    else if (kind === "curve") this.#say(draw.curve(context, view, found, /^(dB(FS|TP)?|LUFS)$/.test(unit) ? DEPTH_DB : Infinity), unit);
    else draw.heat(context, view, found, isLevel ? { low: 60, high: 255 } : undefined);
  }

  #say({ low, high }, unit) {
    this.range.textContent = Number.isNaN(low) ? "" : `${number(low)} to ${number(high, unit)}`;
  }
}

/** What comes in while it is computed. */
export class LiveSource {
  constructor(kind, clock, outputs) {
    this.kind = kind;
    this.parts = new Map(outputs.map((each) => [each, kind === "marks" ? new LiveMarks() : new LiveColumns(clock)]));
  }

  add(rows) {
    if (rows.count) this.parts.get(rows.output)?.add(rows);
  }

  read() {
    const parts = [...this.parts.values()];
    if (this.kind === "marks") return parts[0];
    return joined(this.kind, parts.map((each) => each.blocks()));
  }
}

class LiveMarks {
  times = [];
  durations = null;
  values = [];

  add({ first, times, durations, values }) {
    const skip = Math.max(0, this.times.length - first);
    if (this.times.length > MOST_MARKS) return;
    this.times.push(...times.subarray(skip));
    if (durations) (this.durations ??= []).push(...durations.subarray(skip));
    this.values.push(...Array.from(values, Number).slice(skip));
  }
}

/** What is kept. */
export class StoredSource {
  constructor(kind, result, outputs) {
    Object.assign(this, { kind, result, outputs });
    this.columns = kind === "marks" ? [] : outputs.map((each) => new StoredColumns(result, each));
  }

  async read(view, width) {
    if (this.kind === "marks") return (this.marks ??= this.#marks());
    return joined(this.kind, await Promise.all(this.columns.map((each) => each.blocks(view, width))));
  }

  async #marks() {
    const found = { times: [], durations: this.outputs[0].time_mode === "segment" ? [] : null, values: [] };
    for (let total = 1; found.times.length < Math.min(total, MOST_MARKS); ) {
      const page = await get(`v1/results/${this.result.id}/data/${this.outputs[0].name}?start=${found.times.length}`);
      total = page.total_rows;
      if (!page.times?.length) break;
      for (const part of ["times", "durations", "values"]) found[part]?.push(...page[part]);
    }
    return found;
  }
}

/** Blocks of smallest, largest and RMS as one; others as they are. */
function joined(kind, parts) {
  if (kind !== "waveform") return parts[0];
  const [low, high, rms] = parts;
  return low.map((block, index) => ({
    ...block,
    count: Math.min(block.count, high[index]?.count ?? 0, rms[index]?.count ?? 0),
    high: high[index]?.high,
    rms: rms[index]?.high,
  }));
}
