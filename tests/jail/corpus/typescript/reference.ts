/// <reference path="@TMP@" />
/// <reference path="/etc/passwd" />
/// <reference types="../../../../etc/passwd" />
/// <reference lib="../../../../etc/passwd" />
export default (): unknown => 1;
