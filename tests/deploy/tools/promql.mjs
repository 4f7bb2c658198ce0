// node promql.mjs NODE_MODULES: reads expressions (a JSON list, standard input), writes those that are no PromQL.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";

const [modules] = process.argv.slice(2);
const { parser } = createRequire(resolve(modules, "x"))("@prometheus-io/lezer-promql");

function isWrong(expression) {
  let wrong = false;
  parser.parse(expression).iterate({ enter: (node) => void (wrong ||= node.type.isError) });
  return wrong;
}

console.log(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).filter(isWrong)));
