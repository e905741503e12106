constexpr unsigned long spin() { unsigned long n = 0; while (n < (1ul << 40)) n++; return n; }
static_assert(spin() == 0);
