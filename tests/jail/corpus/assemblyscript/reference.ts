/// <reference path="@JOB@" />
/// <reference types="../../../../etc/passwd" />
//# sourceMappingURL=@JOB@
export function handle(input: string): string { return input; }
