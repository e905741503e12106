type Deep<T> = { next: Deep<[T, T]> } extends { next: infer N } ? Deep<N> : never;
const deep: Deep<1> = 1;
export default (): unknown => deep;
