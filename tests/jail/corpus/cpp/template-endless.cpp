template <class T> struct Outer { Outer<Outer<T>> inner; };
Outer<int> endless;
