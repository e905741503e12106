template <int N, int M> struct A { static const long value = A<N - 1, M>::value + A<N - 1, M + 1>::value; };
template <int M> struct A<0, M> { static const long value = M; };
long answer = A<700, 0>::value;
