import stolen from "/etc/passwd" with { type: "json" };
import raw = require("@JOB@");
export default (): unknown => [stolen, raw];
