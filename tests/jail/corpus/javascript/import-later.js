const found = [];
for (const name of ["@TMP@", "std", "os", "./source.js", "file:///etc/passwd", "../@BESIDE_NAME@"])
  import(name).then((all) => found.push(all), (why) => console.log(String(why)));
export default () => found;
