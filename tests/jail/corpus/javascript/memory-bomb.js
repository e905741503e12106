const kept = [];
for (;;) kept.push(new Array(1e5).fill(kept));
export default () => 1;
