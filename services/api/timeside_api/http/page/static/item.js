/** One item: its sound, what to make of it, what is being made, what was made. */

import { chooser } from "./chooser.js";
import { announce, failure, h } from "./dom.js";
import { Player, isPlayable } from "./player.js";
import { Results } from "./results.js";
import { get, link, post, request } from "./session.js";
import { follow } from "./stream.js";
import { Timeline } from "./timeline.js";
import { clock, facts } from "./words.js";

const COPY = "webm_encoder"; // what browsers play exactly, made of what they would not play so
const WAIT_S = 20;

/** The page of an item, until `signal` says that another is shown. */
export async function itemPage(id, processors, signal) {
  const item = await get(`v1/items/${id}`);
  if (!item.media) return h("div", {}, heading(item), h("p", { class: "faint" }, "This item has no sound yet."));
  const experiences = (await get("v1/experiences?limit=200&shared=true")).items;
  return new ItemPage(item, processors, experiences, signal).element;
}

class ItemPage {
  constructor(item, processors, experiences, signal) {
    Object.assign(this, { item, signal });
    this.duration = item.media.duration_s ?? 0;
    this.player = new Player(
      this.duration,
      () => this.#sound(),
      (time, plays) => this.timeline?.move(time, { follow: plays }),
      (error) => this.#say(error),
    );
    this.timeline = new Timeline(this.duration, (time) => this.player.seek(time));
    this.results = new Results(this.timeline, processors, item);
    this.said = h("div");
    this.running = h("div");
    this.element = h(
      "article",
      { class: "item" },
      heading(item),
      this.player.element,
      this.said,
      chooser(processors, experiences, (chosen) => this.#run(chosen)),
      this.running,
      this.timeline.element,
      this.results.element,
    );
    const keys = (event) => this.#key(event);
    addEventListener("keydown", keys);
    signal.addEventListener("abort", () => {
      removeEventListener("keydown", keys);
      this.player.close();
      this.timeline.close();
    });
    this.#begin().catch((error) => this.#say(error));
  }

  async #begin() {
    const { media, id } = this.item;
    if (isPlayable(media)) await this.player.load();
    else this.player.note.textContent = "Browsers do not play this format exactly: Play makes a copy first, in Opus.";
    for (let cursor = ""; cursor !== null; ) {
      const page = await get(`v1/results?item_id=${id}&limit=200${cursor && `&cursor=${cursor}`}`);
      await this.#settle(page.items);
      cursor = page.next_cursor;
    }
    const { items } = await get("v1/tasks?state=running&limit=200");
    for (const task of items.filter((each) => each.item_id === id)) this.#watch(task.id);
  }

  async #run(processors) {
    this.said.replaceChildren();
    try {
      this.#watch((await post("v1/tasks", { item_id: this.item.id, processors: await processors })).id);
    } catch (error) {
      this.#say(error);
    }
  }

  /** Show how far a task is, and what it makes, to its end. */
  async #watch(task) {
    const bar = h("progress", { max: 1, "aria-label": "Progress" });
    const words = h("span", {}, "Waiting for a worker…");
    const cancel = () => request(`v1/tasks/${task}:cancel`, { method: "POST" }).catch((error) => this.#say(error));
    const line = h("div", { class: "running" }, words, bar, h("button", { type: "button", class: "quiet", click: cancel }, "Cancel"));
    this.running.append(line);
    const done = new Map();
    let results = [];
    try {
      for await (const message of follow(task, this.signal)) {
        if (message.results && message.op !== "run") results = message.results;
        if (message.op === "opened") this.results.open(message, results);
        else if (message.op === "rows") this.results.rows(message);
        else if (message.op === "progress") this.#progress(message, done, bar, words);
        else if (message.op === "snapshot" || message.op === "end") await this.#settle(results);
        if (message.op === "end") announce(`The analysis is ${message.task.state}.`);
      }
    } catch (error) {
      if (!this.signal.aborted) this.#say(error);
    } finally {
      line.remove();
    }
  }

  /** Show results that have come to their end; one that cannot be read hides no other. */
  async #settle(results) {
    for (const each of await Promise.allSettled(results.map((result) => this.results.settle(result))))
      if (each.reason && !this.signal.aborted) this.#say(each.reason);
  }

  #progress({ run, stage, samples_done, samples }, done, bar, words) {
    const all = samples ?? this.item.media.samples;
    if (!all) return;
    done.set(`${run}/${stage}`, samples_done / all);
    bar.value = Math.min(1, ...done.values());
    words.textContent = `${clock(bar.value * this.duration, 0)} of ${clock(this.duration, 0)} computed`;
  }

  /** Address of what is heard: of the media itself, or of a copy, once that is made. */
  async #sound() {
    const { media, id } = this.item;
    if (isPlayable(media)) return link(`v1/media/${media.sha256}`);
    this.player.note.textContent = "A copy in Opus is being made…";
    for (;;) {
      const answer = await request(`v1/items/${id}/results/${COPY}?wait_s=${WAIT_S}`, { signal: this.signal });
      const result = await answer.json();
      if (answer.status === 202) continue;
      this.player.note.textContent = "This is a copy in Opus.";
      return link(`v1/results/${result.id}/file`);
    }
  }

  #say(error) {
    this.said.replaceChildren(failure(error));
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, button, summary, a, select, textarea")) return;
    if (event.key === "+") this.timeline.zoom(0.5);
    else if (event.key === "-") this.timeline.zoom(2);
    else if (event.key === "0") this.timeline.show(0, this.duration);
    else this.player.key(event);
  }
}

function heading(item) {
  const remove = async () => {
    if (!confirm("Remove this recording from the list?")) return;
    await request(`v1/items/${item.id}`, { method: "DELETE" });
    location.hash = "#/";
  };
  return h(
    "div",
    { class: "bar" },
    h("div", {}, h("h1", {}, item.title || "Untitled"), h("p", { class: "faint" }, [item.artist, facts(item.media)].filter(Boolean).join(" · "))),
    h("button", { type: "button", class: "quiet", click: remove }, "Remove"),
  );
}
