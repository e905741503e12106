(function again(n) { return again(n + 1) + again(n + 2); })(0);
export default () => 1;
