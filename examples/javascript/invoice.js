// Adds up an invoice in whole cents, so that nothing is lost in rounding:
// {"lines": [{"text": "Clay", "quantity": 3, "price": "19.90"}], "tax": 19} gives a net of 59.70 and a total of 71.04.
const cents = (text) => {
  const [, sign, whole, part = ""] = /^(-?)(\d+)(?:\.(\d{1,2}))?$/.exec(text) ?? [];
  if (whole === undefined) throw new RangeError(`${JSON.stringify(text)} is not an amount`);
  return Number(`${sign}${whole}${part.padEnd(2, "0")}`);
};

const amount = (value) => (value / 100).toFixed(2);

export default function handle({ lines = [], tax = 0 }) {
  const priced = lines.map(({ text, quantity, price }) => ({ text, amount: cents(price) * quantity }));
  const net = priced.reduce((sum, line) => sum + line.amount, 0);
  const taxed = Math.round((net * tax) / 100);
  return {
    lines: priced.map((line) => ({ ...line, amount: amount(line.amount) })),
    net: amount(net),
    tax: amount(taxed),
    total: amount(net + taxed),
  };
}
