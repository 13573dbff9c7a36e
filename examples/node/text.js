// Texts to count words in: the same for the same seed. Few words are frequent, most are rare.
"use strict";

exports.text = (seed, words) => {
  let state = seed >>> 0;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 4294967296;
  };
  const line = [];
  for (let i = 0; i < words; i++) {
    const rank = Math.floor(20000 ** next());
    const word = rank.toString(16).replace(/[0-9]/g, (digit) => "ghijklmnop"[digit]);
    line.push(next() < 0.1 ? word.toUpperCase() : word, next() < 0.1 ? ",\n" : " ");
  }
  return line.join("");
};
