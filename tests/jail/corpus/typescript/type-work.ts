type Build<N extends number, A extends unknown[] = []> = A["length"] extends N ? A : Build<N, [...A, unknown]>;
type Grow<T, N extends unknown[]> = N extends [unknown, ...infer R] ? Grow<T & { [K in N["length"]]: T } | T[], R> : T;
type All = [Grow<0, Build<900>>, Grow<1, Build<901>>, Grow<2, Build<902>>, Grow<3, Build<903>>];
const all: All = null as unknown as [All, All];
export default (): unknown => all;
