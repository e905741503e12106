template <int N> struct Arrow { Arrow<N + 1> operator->() const; };
int answer = Arrow<0>()->nothing;
