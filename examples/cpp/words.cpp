// Counts words: {"text": "to be or not to be", "most": 2} gives
// {"words": 6, "distinct": 4, "most": [{"word": "be", "count": 2}, {"word": "to", "count": 2}]}.
#include <algorithm>
#include <cctype>
#include <kiln.h>
#include <map>
#include <string>
#include <vector>

static std::map<std::string, int> counted(const std::string &text) {
    std::map<std::string, int> counts;
    std::string word;
    for (unsigned char letter : text + " ") {
        // What is beyond ASCII belongs to a word.
        if (std::isalnum(letter) || letter >= 0x80) word += std::tolower(letter);
        else if (!word.empty()) counts[std::exchange(word, "")] += 1;
    }
    return counts;
}

std::string handle(const std::string &input) {
    json *asked = json_parse(input.c_str());
    const char *text = json_string(json_get(asked, "text"), nullptr);
    if (!text) KILN_FAIL("the input has no text");

    auto counts = counted(text);
    std::vector<std::pair<std::string, int>> order(counts.begin(), counts.end());
    std::stable_sort(order.begin(), order.end(), [](auto &a, auto &b) { return a.second > b.second; });

    double words = 0;
    for (auto &[word, count] : counts) words += count;
    size_t most = std::min<size_t>(json_number(json_get(asked, "most"), 10), order.size());
    json *list = json_array();
    for (auto &[word, count] : std::vector(order.begin(), order.begin() + most))
        json_add(list, json_set(json_set(json_object(), "word", json_from_string(word.c_str())), "count",
                                json_from_number(count)));

    json *answer = json_set(json_object(), "words", json_from_number(words));
    json_set(answer, "distinct", json_from_number(counts.size()));
    return json_write(json_set(answer, "most", list));
}
