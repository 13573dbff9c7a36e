// Ends with 0 where `frequent` is right: compared with a plain way on texts that differ each time.
"use strict";

const assert = require("node:assert");
const { spawnSync } = require("node:child_process");
const { text } = require("./text.js");

const plain = (whole, count) => {
  const times = new Map();
  for (const word of whole.toLowerCase().match(/[a-z]+/g) ?? []) {
    times.set(word, (times.get(word) ?? 0) + 1);
  }
  const order = ([a, m], [b, n]) => n - m || (a < b ? -1 : 1);
  return [...times].sort(order).slice(0, count);
};

// The candidate answers in a process of its own, and can't end this one.
const seed = Date.now() >>> 0;
const texts = ["", "one", "b a b A", "it's 7 o'clock,\n\tit is", text(seed, 50), text(seed + 1, 5000)];
const ask = `
  const { frequent } = require("./src/frequent.js");
  const texts = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
  console.log(JSON.stringify(texts.flatMap((text) => [1, 10, 1000].map((n) => frequent(text, n)))));
`;
const answer = spawnSync(process.execPath, ["-e", ask], { input: JSON.stringify(texts), cwd: __dirname });
const right = texts.flatMap((each) => [1, 10, 1000].map((n) => plain(each, n)));
assert.deepStrictEqual(JSON.parse(answer.stdout.toString() || "null"), right, answer.stderr.toString());
console.log(`right for ${right.length} questions`);
