await Promise.resolve().then(function again() { return Promise.resolve().then(again); });
export default () => 1;
