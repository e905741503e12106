import again from "./source.js";
export default () => again;
