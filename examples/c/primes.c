// Finds all primes up to a limit with the sieve of Eratosthenes: {"limit": 100} gives
// {"limit": 100, "count": 25, "largest": 97, "sum": 1060}.
#include <kiln.h>
#include <stdlib.h>

enum { MOST = 20000000 };

char *handle(const char *input) {
    double limit = json_number(json_get(json_parse(input), "limit"), 100);
    if (limit < 0 || limit > MOST) KILN_FAIL("limit has to be from 0 to %d", MOST);

    unsigned last = limit;
    char *composite = calloc(last + 1, 1);
    double count = 0, largest = 0, sum = 0;
    for (unsigned number = 2; number <= last; number++) {
        if (composite[number]) continue;
        count += 1, largest = number, sum += number;
        for (unsigned long long multiple = (unsigned long long)number * number; multiple <= last; multiple += number)
            composite[multiple] = 1;
    }
    json *found = json_set(json_object(), "limit", json_from_number(last));
    json_set(found, "count", json_from_number(count));
    json_set(found, "largest", json_from_number(largest));
    return json_write(json_set(found, "sum", json_from_number(sum)));
}
