// The most frequent words of a text.
"use strict";

const BUCKETS = 4;

const bucketOf = (word) => {
  let hash = 0;
  for (let i = 0; i < word.length; i++) hash = (hash * 31 + word.charCodeAt(i)) % 65536;
  return hash % BUCKETS;
};

exports.frequent = (text, count) => {
  const buckets = Array.from({ length: BUCKETS }, () => []);
  for (const word of text.toLowerCase().split(/[^a-z]+/)) {
    if (word === "") continue;
    const bucket = buckets[bucketOf(word)];
    const known = bucket.find((entry) => entry.word === word);
    if (known) known.times += 1;
    else bucket.push({ word, times: 1 });
  }
  const found = buckets.flat();
  found.sort((a, b) => b.times - a.times || (a.word < b.word ? -1 : 1));
  return found.slice(0, count).map((entry) => [entry.word, entry.times]);
};
