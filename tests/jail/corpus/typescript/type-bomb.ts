type Digit = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9;
type Five = `${Digit}${Digit}${Digit}${Digit}${Digit}`;
const five: `${Five}${Five}` = "x";
export default (): unknown => five;
