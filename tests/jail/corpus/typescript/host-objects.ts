export default (): unknown => [process.env.KILN_CANARY, require("fs"), __dirname];
