// node validate.mjs NODE_MODULES: reads objects (a JSON list, standard input), writes what is wrong with each.
//
// The validators come compiled, and let unknown fields pass. But a validator reads every field that it knows, so a
// field that it has never read is unknown; an object of which it has read nothing is one whose content is free.

import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const PACKAGES = {
  "gateway.networking.k8s.io": "gateway-api",
  "keda.sh": "keda",
  "kafka.strimzi.io": "strimzi-kafka-operator",
  "monitoring.coreos.com": "prometheus-operator",
  "postgresql.cnpg.io": "cloudnative-pg",
};
const [modules] = process.argv.slice(2);

async function validator({ apiVersion, kind }) {
  const [group, version] = apiVersion.split("/");
  const model = resolve(modules, "@kubernetes-models", PACKAGES[group] ?? "", group, version ?? "", `${kind}.js`);
  const [, schema] = readFileSync(model, "utf8").match(/from"([^"]*\/_schemas\/[^"]*)"/);
  return (await import(new URL(schema, pathToFileURL(model)))).validate;
}

function watched(value, path, seen) {
  if (value === null || typeof value !== "object") return value;
  const read = new Set();
  const children = new Map();
  seen.push({ value, path, read });
  return new Proxy(value, {
    get(target, key) {
      if (typeof key === "symbol") return target[key];
      read.add(key);
      if (!children.has(key)) children.set(key, watched(target[key], `${path}/${key}`, seen));
      return children.get(key);
    },
  });
}

async function check(object) {
  const validate = await validator(object);
  const seen = [];
  const errors = validate(watched(object, "", seen)) ? [] : validate.errors.map((e) => `${e.instancePath}: ${e.keyword} ${JSON.stringify(e.params)}`);
  for (const { value, path, read } of seen) {
    if (Array.isArray(value) || read.size === 0) continue;
    errors.push(...Object.keys(value).filter((key) => !read.has(key)).map((key) => `${path}/${key}: is unknown`));
  }
  return errors;
}

const objects = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(await Promise.all(objects.map(check))));
