// Prints the processor time that `frequent` takes for a text, in milliseconds: the fastest of some rounds.
"use strict";

const { frequent } = require("./src/frequent.js");
const { text } = require("./text.js");

const ROUNDS = 5;
const TEXTS = 2;

let best = Infinity;
for (let round = 0; round < ROUNDS; round++) {
  const texts = Array.from({ length: TEXTS }, (_, i) => text(round * TEXTS + i + 1, 20000));
  const start = process.cpuUsage();
  for (const each of texts) frequent(each, 10);
  const { user, system } = process.cpuUsage(start);
  best = Math.min(best, (user + system) / 1000 / TEXTS);
}
console.log(`ms_per_text: ${best.toFixed(4)}`);
