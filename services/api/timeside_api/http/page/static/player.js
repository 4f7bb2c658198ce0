/** The sound: a button, a slider, the time; tells where it is. */

import { h } from "./dom.js";
import { clock } from "./words.js";

const SEEK_S = 5;
const EXACT = /^audio\/(wav|flac|mp4|webm)$/; // formats in which browsers find a place exactly; not so MP3, or Ogg

/** Whether a browser plays a media as it is, and each place of it where the pictures show it. */
export function isPlayable({ mime_type, codec }) {
  if (!EXACT.test(mime_type) || /alac|adpcm/.test(codec)) return false;
  return new Audio().canPlayType(mime_type) !== "";
}

export class Player {
  /** `prepare` gives the address of the sound; `moved` is told the time, and whether it plays; `failed` an error. */
  constructor(duration, prepare, moved, failed) {
    Object.assign(this, { duration, prepare, moved, failed });
    this.audio = new Audio();
    this.audio.preload = "metadata";
    this.button = h("button", { type: "button", class: "play", click: () => this.toggle() }, "Play");
    this.slider = h("input", { type: "range", min: 0, max: duration, step: 0.01, value: 0, "aria-label": "Position" });
    this.slider.addEventListener("input", () => this.seek(Number(this.slider.value)));
    this.time = h("output", { class: "time" });
    this.note = h("span", { class: "note" });
    this.element = h("section", { class: "player", "aria-label": "Player" }, this.button, this.slider, this.time, this.note);
    for (const each of ["play", "pause", "ended", "seeked"]) this.audio.addEventListener(each, () => this.#tell());
    this.audio.addEventListener("error", () => this.audio.src && failed(new Error("The browser cannot play this sound.")));
    this.#tell();
  }

  /** Have the sound at hand, so that it can be played and sought in. */
  async load() {
    if (this.audio.src) return;
    this.button.disabled = true;
    try {
      this.audio.src = await this.prepare();
    } finally {
      this.button.disabled = false;
    }
  }

  close() {
    this.audio.pause();
    this.audio.removeAttribute("src");
    this.audio.load();
  }

  async toggle() {
    if (!this.audio.paused) return this.audio.pause();
    try {
      await this.load();
      this.audio.play().catch(() => {}); // what cannot be played says so by its error event
    } catch (error) {
      this.failed(error);
    }
  }

  /** Go to a time; where there is no sound yet it will begin there. */
  seek(time) {
    this.audio.currentTime = Math.max(0, Math.min(this.duration, time));
    this.#tell();
  }

  /** Keys: space, arrows. */
  key(event) {
    const step = { ArrowLeft: -SEEK_S, ArrowRight: SEEK_S }[event.key];
    if (event.key === " ") this.toggle();
    else if (step) this.seek(this.audio.currentTime + step);
    else return;
    event.preventDefault();
  }

  #tell() {
    const { currentTime, paused } = this.audio;
    this.button.textContent = paused ? "Play" : "Pause";
    this.slider.value = currentTime;
    this.slider.setAttribute("aria-valuetext", `${clock(currentTime)} of ${clock(this.duration)}`);
    this.time.textContent = `${clock(currentTime)} / ${clock(this.duration)}`;
    this.moved(currentTime, !paused);
    cancelAnimationFrame(this.frame);
    if (!paused) this.frame = requestAnimationFrame(() => this.#tell());
  }
}
