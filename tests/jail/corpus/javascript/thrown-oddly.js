throw { get message() { throw null; }, toString() { throw new Proxy({}, { get() { throw 1; } }); }, get stack() { return "source.js:9999999999999999999:1"; } };
