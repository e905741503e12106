const enum Large { A = 1 << 31, B = A ** 99, C = `${B}${B}`.length, D = "[31m" as any }
export default (): unknown => [Large.A, Large.B, Large.C, Large.D];
