template <class...> struct List {};
template <int N, class... T> struct Twice : Twice<N - 1, T..., T...> {};
template <class... T> struct Twice<0, T...> : List<T...> {};
Twice<40, int> large;
