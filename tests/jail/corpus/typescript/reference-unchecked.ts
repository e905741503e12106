// @ts-nocheck
/// <reference path="@VAR_TMP@" />
import stolen from "@HOME@";
export default () => stolen;
