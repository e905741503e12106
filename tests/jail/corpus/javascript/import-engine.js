import * as std from "std";
import * as os from "os";
export default () => std.loadFile("/etc/passwd") + os.getcwd();
