const reach = (name) => { try { return String(Function(`return ${name}`)()); } catch (why) { return String(why); } };
const seen = ["process.env", "require('fs')", "std.getenv('KILN_CANARY')", "scriptArgs", "Deno", "print", "load"].map(reach);
console.log(seen, new Error().stack, import.meta.url, JSON.stringify(Object.getOwnPropertyNames(globalThis)));
export default () => seen;
