/** Which processors to run: sensible ones are chosen already. */

import { h } from "./dom.js";
import { title } from "./words.js";

const USUAL = new Set([
  "waveform_analyzer",
  "spectrogram_analyzer",
  "level",
  "loudness_itu",
  "aubio_pitch",
  "onset_detection_function",
  "spectrogram_log",
  "opus_encoder",
]);
const KINDS = { analyzer: "Analyse", grapher: "Draw", encoder: "Transcode" };

/** A form; `run` is told the ids that are chosen. */
export function chooser(processors, run) {
  const offered = [...processors.values()].filter((each) => each.kind in KINDS && !each.parameters.required?.length);
  const boxes = offered.map((each) => h("input", { type: "checkbox", value: each.id, checked: USUAL.has(each.id) }));
  const button = h("button", { class: "main" }, "Run");
  const count = h("span", { class: "faint" });
  const chosen = () => boxes.filter((box) => box.checked).map((box) => box.value);
  const counted = () => {
    count.textContent = `${chosen().length} processors chosen`;
    button.disabled = !chosen().length;
  };
  const group = (kind) =>
    h(
      "fieldset",
      {},
      h("legend", {}, KINDS[kind]),
      offered.map((each, index) =>
        each.kind === kind
          ? h("label", { class: "choice", title: each.description }, boxes[index], h("span", {}, title(each.id)))
          : null,
      ),
    );
  const submit = (event) => {
    event.preventDefault();
    run(chosen());
  };
  const form = h(
    "form",
    { class: "card chooser", "aria-label": "Processors", submit, change: counted },
    h("div", { class: "bar" }, h("h2", {}, "Analyse"), count, button),
    h("details", {}, h("summary", {}, "Choose processors"), Object.keys(KINDS).map(group)),
  );
  counted();
  return form;
}
