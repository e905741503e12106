import stolen from "@HOME@";
export default () => stolen;
