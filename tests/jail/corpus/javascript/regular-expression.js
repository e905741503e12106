/^(a+)+$/.test("a".repeat(50) + "b");
export default () => 1;
