import stolen from "@HOME@";
import * as climbed from "../@BESIDE_NAME@";
import type { Secret } from "@SHM@";
export default (): unknown => [stolen, climbed, null as unknown as Secret];
