for (const name of Object.getOwnPropertyNames(globalThis)) try { globalThis[name] = () => { throw name; }; } catch {}
Object.prototype.toJSON = Array.prototype[Symbol.iterator] = () => { throw "changed"; };
export default () => 1;
