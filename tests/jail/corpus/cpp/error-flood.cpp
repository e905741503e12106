#define A(x) x x x x x x x x x x
template <class T> struct Wrong { typename T::missing member; };
A(A(A(A(Wrong<int> _; ]))))
