/** Lanes over one axis of time: zoom, playhead, click to seek. */

import * as draw from "./draw.js";
import { h } from "./dom.js";
import { clock } from "./words.js";

const SHORTEST_S = 0.05;
const REDRAW_MS = 80;

export class Timeline {
  #due = false;
  #lanes = [];

  /** `seek` is told a time that was clicked at. */
  constructor(duration, seek) {
    this.duration = duration || 1;
    this.view = { start: 0, stop: this.duration };
    this.seek = seek;
    this.ruler = h("canvas", { class: "ruler", "aria-hidden": "true" });
    this.playhead = h("div", { class: "playhead", "aria-hidden": "true" });
    this.stack = h("div", { class: "lanes" });
    this.area = h("div", { class: "area" }, this.ruler, this.stack, this.playhead);
    const button = (label, text, act) => h("button", { type: "button", class: "quiet", "aria-label": label, title: label, click: act }, text);
    this.element = h(
      "section",
      { class: "timeline", "aria-label": "Timeline" },
      h(
        "div",
        { class: "zoom", role: "group", "aria-label": "Zoom" },
        button("Zoom in (+)", "+", () => this.zoom(0.5)),
        button("Zoom out (−)", "−", () => this.zoom(2)),
        button("Whole recording (0)", "Whole", () => this.show(0, this.duration)),
      ),
      this.area,
    );
    this.area.addEventListener("pointerdown", (event) => this.#pressed(event));
    this.area.addEventListener("wheel", (event) => this.#wheeled(event), { passive: false });
    this.observer = new ResizeObserver(this.redraw);
    this.observer.observe(this.area);
    this.scheme = matchMedia("(prefers-color-scheme: dark)");
    this.scheme.addEventListener("change", this.redraw);
    this.position = 0;
  }

  close() {
    this.observer.disconnect();
    this.scheme.removeEventListener("change", this.redraw);
  }

  add(lane) {
    this.#lanes.push(lane);
    const order = ({ facts }) => ["waveform", "heat", "curve", "marks"].indexOf(facts.kind);
    this.#lanes.sort((a, b) => order(a) - order(b));
    const next = this.#lanes[this.#lanes.indexOf(lane) + 1];
    this.stack.insertBefore(lane.element, next?.element ?? null);
    this.redraw();
  }

  remove(lane) {
    this.#lanes = this.#lanes.filter((each) => each !== lane);
    lane.element.remove();
  }

  /** Draw all lanes, soon, and not more often than makes sense. */
  redraw = () => {
    if (this.#due) return;
    this.#due = true;
    setTimeout(() => requestAnimationFrame(() => this.#draw()), REDRAW_MS);
  };

  #draw() {
    this.#due = false;
    draw.ruler(draw.prepared(this.ruler), this.view, clock);
    this.move(this.position);
    for (const lane of this.#lanes) lane.draw(this.view).catch((error) => (lane.problem.textContent = error.message));
  }

  /** Put the playhead at a time, and follow it with the view where it has left it. */
  move(time, { follow = false } = {}) {
    this.position = time;
    const { start, stop } = this.view;
    if (follow && (time < start || time > stop)) this.show(time, time + stop - start);
    const share = (time - this.view.start) / (this.view.stop - this.view.start);
    this.playhead.hidden = share < 0 || share > 1;
    this.playhead.style.transform = `translateX(${share * this.area.clientWidth}px)`;
  }

  zoom(factor, centre = this.position) {
    const { start, stop } = this.view;
    const inside = Math.min(stop, Math.max(start, centre));
    const span = Math.max(SHORTEST_S, (stop - start) * factor);
    const left = inside - ((inside - start) / (stop - start)) * span;
    this.show(left, left + span);
  }

  show(start, stop) {
    const span = Math.min(this.duration, stop - start);
    const left = Math.max(0, Math.min(this.duration - span, start));
    this.view = { start: left, stop: left + span };
    this.redraw();
  }

  #time(event) {
    const box = this.area.getBoundingClientRect();
    return this.view.start + ((event.clientX - box.left) / box.width) * (this.view.stop - this.view.start);
  }

  #pressed(event) {
    if (event.button === 0) this.seek(Math.max(0, Math.min(this.duration, this.#time(event))));
  }

  #wheeled(event) {
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      this.zoom(2 ** (event.deltaY / 200), this.#time(event));
    } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      event.preventDefault();
      const by = ((event.deltaX || event.deltaY) / this.area.clientWidth) * (this.view.stop - this.view.start);
      this.show(this.view.start + by, this.view.stop + by);
    }
  }
}
