/** `node print-rows.ts URL TOKEN RESULT`: rows of a result as lines of JSON, as they are computed. */

import { stream } from "./stream.ts";

declare const process: { argv: string[] };

const [url, token, result] = process.argv.slice(2);
if (!url || !token || !result) throw new Error("URL, TOKEN and RESULT must be given");
for await (const { output, firstRow, columns, values } of stream(url, token, result)) {
  console.log(JSON.stringify({ output, first_row: firstRow, columns, values: Array.from(values) }));
}
