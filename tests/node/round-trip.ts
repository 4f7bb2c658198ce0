// Goes a round with the client that was made from the OpenAPI document: sign in, make an item, upload, ask, look.

import { readFileSync } from "node:fs";

import createClient from "openapi-fetch";

import type { components, paths } from "./schema.d.ts";

type Task = components["schemas"]["TaskWithResults"];

const [url, key, path] = process.argv.slice(2) as [string, string, string];
const headers = { Authorization: `Bearer ${key}` };
const api = createClient<paths>({ baseUrl: url, headers });

function must<T>(answer: { data?: T; error?: unknown }): T {
  if (answer.data === undefined) throw new Error(JSON.stringify(answer.error));
  return answer.data;
}

const item = must(await api.POST("/v1/items", { body: { title: "a round trip", tags: ["typescript"] } }));
const uploaded = must(
  await api.PUT("/v1/items/{item_id}/media", {
    params: { path: { item_id: item.id } },
    body: readFileSync(path) as unknown as string,
    bodySerializer: (body: unknown) => body as BodyInit,
    headers: { "Content-Type": "application/octet-stream" },
  }),
);
const asked = { item_id: item.id, processors: [{ processor: "level", parameters: {} }] };
let task: Task = must(await api.POST("/v1/tasks", { body: asked })) as Task;
while (task.state === "running") {
  await new Promise((wake) => setTimeout(wake, 100));
  task = must(await api.GET("/v1/tasks/{task_id}", { params: { path: { task_id: task.id } } }));
}
const refused = await api.GET("/v1/items/{item_id}", { params: { path: { item_id: task.id } } });
const page = must(await api.GET("/v1/items", { params: { query: { tag: ["typescript"] } } }));
console.log(
  JSON.stringify({
    channels: uploaded.media?.channels,
    state: task.state,
    results: task.result_list.map((each) => [each.processor, each.state]),
    problem: (refused.error as components["schemas"]["ProblemDocument"]).code,
    titles: page.items.map((each) => each.title),
  }),
);
